# SPDX-License-Identifier: Apache-2.0
"""Writes the CDNOW purchases, which the package `lifetimes` (MIT) carries, as a CSV file of events.

A line of the data set is: customer, date, number of CDs, amount; the first one names them.  The event id is the line's number, so that loading the
file again repeats the same events.

usage: sample.py FOLDER-WITH-THE-WHEEL OUT.csv
"""
import csv
import glob
import os
import sys
import zipfile

NAME = "lifetimes/datasets/CDNOW_master.txt"


def main(folder, out):
    wheels = sorted(glob.glob(os.path.join(folder, "[Ll]ifetimes-*.whl")))
    if not wheels:
        sys.exit("no wheel of lifetimes in " + folder)
    with zipfile.ZipFile(wheels[-1]) as wheel:
        lines = wheel.read(NAME).decode("ascii").splitlines()
    with open(out + ".part", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["brand", "profileId", "eventType", "eventId", "source", "payload.amount", "payload.units",
                         "payload.date"])
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words or not words[0].isdigit():
                continue
            customer, date, units, amount = words
            writer.writerow(["CDNOW", customer, "PURCHASE", "cdnow-%06d" % number, "cdnow", amount, units,
                             "%s-%s-%s" % (date[:4], date[4:6], date[6:])])
    os.replace(out + ".part", out)


main(*sys.argv[1:])
