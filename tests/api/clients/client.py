# SPDX-License-Identifier: Apache-2.0
"""A client of the ledger in Python, with Debian's msgpack and nothing of Tally's.

usage: client.py PORT      Says what differs and exits with 1, or "ok" and exits with 0.
"""
import socket
import struct
import sys

import msgpack

TENANT = "python"


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.unpacker = msgpack.Unpacker(raw=False)
        self.sent = 0
        self.answers = {}

    def send(self, method, *params):
        """Sends a request and returns its number; many may be under way."""
        self.sent += 1
        self.socket.sendall(msgpack.packb([0, self.sent, method, list(params)]))
        return self.sent

    def wait(self, number):
        """The answer to that request: (error, result).  Answers may overtake one another."""
        while number not in self.answers:
            data = self.socket.recv(65536)
            if not data:
                raise SystemExit("the server closed the connection")
            self.unpacker.feed(data)
            for kind, answered, error, result in self.unpacker:
                expect("kind of an answer", kind, 1)
                self.answers[answered] = (error, result)
        return self.answers.pop(number)

    def call(self, method, *params):
        error, result = self.wait(self.send(method, *params))
        if error:
            raise SystemExit(f"{method}: {error}")
        return result


def expect(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: expected {wanted!r}, found {found!r}")


def identifier(number):
    return (0xAB << 64 | number).to_bytes(16, "little")


def row(number, debit, credit, amount, code=0, flags=0, timeout=0):
    return struct.pack("<16s16s16sQHHI", identifier(number), debit, credit, amount, code, flags, timeout)


def pairs(results):
    return [struct.unpack_from("<II", results, at) for at in range(0, len(results), 8)]


def main():
    ledger = Connection(int(sys.argv[1]))
    numbers = {entry["name"]: entry["number"] for entry in ledger.call("ledger.refusals")}
    liability, store = identifier(1), identifier(2)
    answer = ledger.call("ledger.create_accounts", [
        {"id": liability, "tenant": TENANT, "unit": "points", "kind": "liability"},
        {"id": store, "tenant": TENANT, "unit": "points", "kind": "raw"},
        {"member": "monty", "tenant": TENANT, "unit": "points"},
        {"id": liability, "tenant": TENANT, "unit": "stamps", "kind": "liability"},
    ])
    expect("refused accounts", pairs(answer["results"]), [(3, numbers["account_exists_with_different_unit"])])
    monty = answer["ids"][32:48]
    expect("tag of a derived id", monty[14:16], b"\xfe\xff")

    rows = row(100, liability, monty, 70, 5) + row(101, monty, store, 30) + row(102, monty, store, 41)
    answer = ledger.call("ledger.create_transfers", rows, {"balances": True})
    expect("refused transfers", pairs(answer["results"]), [(2, numbers["exceeds_floor"])])
    expect("balances", struct.unpack("<6q", answer["balances"]), (-2**63, 70, 40, 30, 40, 30))
    lsn = answer["lsn"]

    # The same again changes nothing; another content is told apart; a refused one used its id up.
    rows = row(100, liability, monty, 70, 5) + row(101, monty, store, 31) + row(102, monty, store, 1)
    answer = ledger.call("ledger.create_transfers", rows)
    expect("refused repeats", pairs(answer["results"]),
           [(1, numbers["exists_with_different_amount"]), (2, numbers["id_already_failed"])])

    # Many requests under way on one connection.
    sent = [ledger.send("ledger.create_transfers", row(200 + i, liability, monty, 1)) for i in range(100)]
    for number in reversed(sent):
        error, result = ledger.wait(number)
        expect("error", error, None)
        expect("results", result["results"], b"")

    account, unknown = ledger.call("ledger.lookup_accounts", [monty, identifier(9)])
    expect("unknown account", unknown, None)
    expect("member", account["member"], "monty")
    expect("sums", (account["debits_posted"], account["credits_posted"], account["balance"]), (30, 170, 140))
    expect("balance then", ledger.call("ledger.balances", {"id": monty, "at": lsn})["balance"], 40)
    history = ledger.call("ledger.account_transfers", {"id": monty, "limit": 2})
    expect("history", [entry["amount"] for entry in history["transfers"]], [70, 30])
    expect("transfer", ledger.call("ledger.lookup_transfers", [identifier(100)])[0]["code"], 5)

    error, result = ledger.wait(ledger.send("ledger.create_transfers", b"short"))
    expect("error's name", error["name"], "validation_failed")
    expect("result beside an error", result, None)
    error, _ = ledger.wait(ledger.send("ledger.create_everything"))
    expect("error's name", error["name"], "method_unknown")
    book = ledger.call("ledger.book", {"tenant": TENANT, "unit": "points"})
    expect("sum of the book", book["total"]["balance"], 0)
    print("ok")


main()
