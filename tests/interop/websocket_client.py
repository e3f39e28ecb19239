"""Talks to a WebSocket server that echoes; ends with "all echoed", or with what went wrong."""

import asyncio
import os
import sys

import websockets

PATIENCE = 50
MIB = 1024 * 1024
AT_ONCE = 20


async def expect_echo(connection, message):
    await connection.send(message)
    got = await connection.recv()
    assert got == message, f"sent {len(message)}, got {len(got)}: {got[:40]!r}"


async def main(url):
    async with websockets.connect(url, max_size=None) as connection:
        for text in ["hello", "", "zw\u00f6lf \u2713", "x" * 70_000]:
            await expect_echo(connection, text)
        for content in [bytes(range(256)), b"", os.urandom(MIB)]:
            await expect_echo(connection, content)
        pong = await connection.ping(b"are you there")
        await pong
        # In two fragments; the echo may come in one.
        await connection.send(["in two ", "pieces"])
        assert await connection.recv() == "in two pieces"
    assert connection.close_code == 1000, connection.close_code

    async with websockets.connect(url) as connection:
        await connection.send("bye")
        await connection.wait_closed()
    assert (connection.close_code, connection.close_reason) == (4001, "bye")

    await asyncio.gather(*(talk(url, number) for number in range(AT_ONCE)))
    print("all echoed")


async def talk(url, number):
    """All of them are open before one of them ends: the first messages go both ways first."""
    async with websockets.connect(url) as connection:
        for turn in range(10):
            await expect_echo(connection, f"{number}: {turn}")


asyncio.run(asyncio.wait_for(main(sys.argv[1]), PATIENCE))
