"""``python -m governor.sample``: the sample API as a process of its own."""

from __future__ import annotations

import argparse
import asyncio

from governor.config.durations import parse_address, parse_duration_s
from governor.sample.server import serve
from governor.sample.service import Service


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(prog="governor sample")
    parser.add_argument("--listen", type=parse_address, default=parse_address("127.0.0.1:9000"))
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--service-time", type=parse_duration_s, default=0.1)
    parser.add_argument("--child", action="store_true", help="stop when standard input ends")
    options = parser.parse_args()

    async def run() -> None:
        service = Service(options.slots, options.service_time)
        await serve(service, options.listen, is_child=options.child)

    asyncio.run(run())


if __name__ == "__main__":
    main()
