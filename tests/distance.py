"""A TCP proxy that holds all bytes back for a while, to play a server that is far away."""

import asyncio
import threading
import time
from contextlib import contextmanager, suppress


class Distance:
    """What went through: requests are bursts of the client's bytes."""

    def __init__(self, target, seconds):
        self.target, self.seconds = target, seconds
        self.bursts = self.connections = 0
        self.broken = False

    async def _pass_on(self, reader, writer, from_client):
        waiting = asyncio.Queue()

        async def send():
            while True:
                at, data = await waiting.get()
                await asyncio.sleep(max(0, at - time.monotonic()))
                if data is None:
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()

        sending = asyncio.create_task(send())
        try:
            while data := await reader.read(1 << 20):
                self.bursts += from_client
                waiting.put_nowait((time.monotonic() + self.seconds, data))
        except OSError:
            pass
        waiting.put_nowait((time.monotonic() + self.seconds, None))
        with suppress(OSError):
            await sending

    async def _connect(self, reader, writer):
        with suppress(asyncio.CancelledError):  # when all is over
            await self._join(reader, writer)

    async def _join(self, reader, writer):
        self.connections += 1
        await asyncio.sleep(2 * self.seconds)  # the handshake of TCP
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(
                self._pass_on(reader, back, True), self._pass_on(there, writer, False)
            )
        finally:
            for end in (writer, back):
                end.close()

    async def _serve(self, ready, ports):
        self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0, limit=1 << 22)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await self.ended.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # in which connections close


@contextmanager
def distance(target, seconds):
    """A port that leads to ``target`` and back in 2 ``seconds``, and what went through it."""
    proxy, ready, ports = Distance(target, seconds), threading.Event(), []
    thread = threading.Thread(target=lambda: asyncio.run(proxy._serve(ready, ports)))
    thread.start()
    ready.wait()
    try:
        yield ports[0], proxy
    finally:
        proxy.loop.call_soon_threadsafe(proxy.ended.set)
        thread.join()
