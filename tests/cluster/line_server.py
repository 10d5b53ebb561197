"""A server that answers lines and counts its connections; a process of its own.

Prints its port. "ping" is answered with "pong"; "count" with how many connections there were, are,
and were at most at the same time, not counting those that ask.
"""

from __future__ import annotations

import asyncio
from collections import Counter


async def main() -> None:
    counts: Counter[str] = Counter()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counted = False
        try:
            while line := await reader.readline():
                if line == b"count\n":
                    writer.write(f"{counts['all']} {counts['open']} {counts['peak']}\n".encode())
                    continue
                if not counted:
                    counted = True
                    counts.update(("all", "open"))
                    counts["peak"] = max(counts["peak"], counts["open"])
                writer.write(b"pong\n")
        finally:
            counts["open"] -= counted
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
