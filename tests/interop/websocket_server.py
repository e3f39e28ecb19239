"""A WebSocket server that echoes, and serves a page whose script talks to it.

"bye" is answered with a close of the server's own. "/written" is answered once a client has said
"written": the page holds its load event with it until its script is done.
"""

import asyncio
import sys
from http import HTTPStatus

import websockets

PAGE = """<!DOCTYPE html>
<title>echo</title>
<p id="result">nothing came</p>
<script>
const wanted = ["one", "two", "three \\u2713"];
const echoed = [];
const socket = new WebSocket("ws://" + location.host + "/echo");
const write = (text) => { document.getElementById("result").textContent = text; };
socket.onerror = () => write("the WebSocket failed");
socket.onopen = () => wanted.forEach((text) => socket.send(text));
socket.onmessage = (event) => {
    echoed.push(event.data);
    if (echoed.length < wanted.length) return;
    write("echoed: " + echoed.join(", "));
    socket.send("written");
};
</script>
<img src="/written">
"""

HTML = "text/html; charset=utf-8"


async def main(port):
    written = asyncio.Event()

    async def echo(connection, _path=None):
        async for message in connection:
            if message == "bye":
                await connection.close(4001, "bye")
            elif message == "written":
                written.set()
            else:
                await connection.send(message)

    async def text_of(path):
        if path == "/":
            return PAGE
        if path == "/written":
            await written.wait()
            return "written"
        return None

    # Up to version 13 a path and its fields, from 14 on a connection and a request.
    async def page(first, second):
        path = first if isinstance(first, str) else second.path
        text = await text_of(path)
        if text is None:
            return None
        if isinstance(first, str):
            return HTTPStatus.OK, {"Content-Type": HTML}, text.encode()
        response = first.respond(HTTPStatus.OK, text)
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = HTML
        return response

    options = dict(process_request=page, max_size=None)
    async with websockets.serve(echo, "127.0.0.1", port, **options):
        await asyncio.Future()


asyncio.run(main(int(sys.argv[1])))
