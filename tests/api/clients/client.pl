# SPDX-License-Identifier: Apache-2.0
# A client of the ledger in Perl, with Debian's Data::MessagePack and nothing of Tally's.
#
# usage: client.pl PORT      Says what differs and exits with 1, or "ok" and exits with 0.
use strict;
use warnings;
use Data::MessagePack;
use IO::Socket::INET;

my $TENANT = "perl";
# One packer of this library makes every string text, the other one makes it binary.
my ($text, $binary) = (Data::MessagePack->new->utf8(1), Data::MessagePack->new);
my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => shift @ARGV, Proto => "tcp", Timeout => 30)
	or fail("cannot connect: $!");
my $number = 0;

sub fail {
	print "$_[0]\n";
	exit 1;
}

sub expect {
	my ($what, $found, $wanted) = @_;
	$found = "nil" unless defined $found;
	fail("$what: expected $wanted, found $found") unless $found eq $wanted;
}

sub exchange {
	my ($method, @params) = @_;
	my $packed = array_of(num(0), num(++$number), str($method), array_of(@params));
	syswrite($socket, $packed) == length $packed or fail("cannot send: $!");
	my $unpacker = Data::MessagePack::Unpacker->new;
	my ($data, $offset) = ("", 0);
	until ($unpacker->is_finished) {
		sysread($socket, $data, 65536, length $data) or fail("the server closed the connection");
		$offset = $unpacker->execute($data, $offset);
	}
	my ($kind, $answered, $error, $result) = @{ $unpacker->data };
	expect("kind of an answer", $kind, 1);
	expect("number of an answer", $answered, $number);
	return ($error, $result);
}

sub call {
	my ($error, $result) = exchange(@_);
	fail("$_[0]: $error->{name}: $error->{detail}") if $error;
	return $result;
}

# Packed values: text, binary, integer; a map of [key, packed value] pairs and an array of packed values.
sub str { return $text->pack("$_[0]"); }
sub bin { return $binary->pack("$_[0]"); }
sub num { return $binary->pack(0 + $_[0]); }
sub map_of { my @pairs = @_; return pack("C", 0x80 | @pairs) . join "", map { str($_->[0]) . $_->[1] } @pairs; }
sub array_of { return pack("C", 0x90 | scalar @_) . join "", @_; }

sub identifier { return pack("Q< Q<", $_[0], 0xCD); }
sub row { my ($id, $debit, $credit, $amount, $code) = @_; return identifier($id) . $debit . $credit . pack("Q< S< S< L<", $amount, $code, 0, 0); }
sub pairs { return join ",", map { "[$_]" } map { join " ", unpack("L< L<", substr($_[0], 8 * $_, 8)) } 0 .. length($_[0]) / 8 - 1; }

my %refusal = map { $_->{name} => $_->{number} } @{ call("ledger.refusals") };
my ($liability, $anna) = (identifier(1), identifier(2));
my $answer = call("ledger.create_accounts", array_of(
	map_of(["id", bin($liability)], ["tenant", str($TENANT)], ["unit", str("points")], ["kind", str("liability")]),
	map_of(["id", bin($anna)], ["tenant", str($TENANT)], ["unit", str("points")], ["kind", str("member")]),
	map_of(["id", bin(identifier(3))], ["tenant", str($TENANT)], ["unit", str("points")], ["floor", num(-5)])));
expect("refused accounts", pairs($answer->{results}), "");
expect("ids", substr($answer->{ids}, 16, 16) eq $anna ? "same" : "others", "same");

my $rows = row(100, $liability, $anna, 70, 5) . row(101, $anna, identifier(3), 71, 0) . row(102, identifier(3), $anna, 5, 0);
$answer = call("ledger.create_transfers", bin($rows), map_of(["balances", pack("C", 0xc3)]));
expect("refused transfers", pairs($answer->{results}), "[1 $refusal{exceeds_floor}]");
expect("balances", join(" ", (unpack("q< q< q< q< q< q<", $answer->{balances}))[1, 2, 4, 5]), "70 70 -5 75");

$answer = call("ledger.create_transfers", bin($rows));
expect("refused repeats", pairs($answer->{results}), "[1 $refusal{id_already_failed}]");
$answer = call("ledger.create_transfers", bin(row(100, $liability, $anna, 70, 6)));
expect("another content", pairs($answer->{results}), "[0 $refusal{exists_with_different_code}]");

# As maps instead of packed rows.
$answer = call("ledger.create_transfers", array_of(map_of(["id", bin(identifier(103))], ["debit", bin($anna)],
	["credit", bin(identifier(3))], ["amount", num(20)], ["flags", array_of(str("pending"))], ["timeout", num(600)])));
expect("refused maps", pairs($answer->{results}), "");

my $account = call("ledger.lookup_accounts", array_of(bin($anna), bin(identifier(9))));
expect("balance", $account->[0]{balance}, 75);
expect("reserved", $account->[0]{debits_pending}, 20);
expect("tenant", $account->[0]{tenant}, $TENANT);
expect("unknown account", $account->[1], "nil");
my $found = call("ledger.lookup_transfers", array_of(bin(identifier(103)), bin(identifier(101))));
expect("state", $found->[0]{state}, "pending");
expect("state", $found->[1]{state}, "failed");
my $history = call("ledger.account_transfers", map_of(["id", bin($anna)], ["reverse", pack("C", 0xc3)]));
expect("history", join(" ", map { $_->{amount} } @{ $history->{transfers} }), "20 5 70");

my ($error) = exchange("ledger.create_transfers", bin("short"));
expect("error's name", $error->{name}, "validation_failed");
($error) = exchange("ledger.create_accounts", array_of(map_of(["tenant", num(7)])));
expect("error's row", $error->{index}, 0);
my $book = call("ledger.book", map_of(["tenant", str($TENANT)], ["unit", str("points")]));
expect("sum of the book", $book->{total}{balance}, 0);
print "ok\n";
