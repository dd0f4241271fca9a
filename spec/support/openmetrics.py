# SPDX-License-Identifier: MIT
"""Reads OpenMetrics text from stdin with Prometheus' own parser: openmetrics.py

Prints a line for each sample, "NAME LABEL=VALUE... = VALUE", and for each family "# NAME TYPE UNIT".
Exits 1 with the reason if it is no OpenMetrics text.
"""
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families


def main():
    try:
        families = list(text_string_to_metric_families(sys.stdin.read()))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for family in families:
        print("#", family.name, family.type, family.unit)
        for sample in family.samples:
            labels = "".join(f" {k}={v}" for k, v in sorted(sample.labels.items()))
            print(f"{sample.name}{labels} = {sample.value:.17g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
