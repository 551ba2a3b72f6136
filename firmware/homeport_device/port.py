"""Which port this platform has. A port is everything that a stack needs of the outside:

    now_ms()                                 wrapping ticks (homeport_core.ticks)
    random(n) -> bytes                       unpredictable octets of the operating system
    open(local_port) -> int                  bind both sockets; the local port taken; raises ConfigError
    send(socket, endpoint, buf, n)           LOCAL or REMOTE; a datagram that cannot leave is counted in `unsent`
    resolve(name)                            look a name up, answer through driver.resolved()
    reopen()                                 a fresh remote socket
    receive_up_to(size)                      expect many datagrams of this size: more than 1500 octets, where it can
    open_extra() -> int                      another remote socket, 0 when there is no room for one (on boards: never)
    close_extra(socket)                      close one of those
    local_endpoint() -> bytes                of the remote socket, 0.0.0.0 where the address is not known
    arm(delay_ms)                            call driver.timeout() after that, in place of what was armed; None: never
    run(driver, tasks)                       until SIGTERM, SIGINT or stop(); `tasks` are async functions to run besides
    start_task(coroutine, done)              run it, then call done(result, exception)
    call(function, *arguments)               use the stack from a task: function(now_ms, *arguments), through the driver
    look_up(name, answer)                    the IPv4 addresses of a name: answer(now_ms, [4 octets, …] or None)
    connect_tcp(endpoint, owner) -> channel  begin a TCP connection; raises OSError when there is no socket for it
    open_serial(path, owner) -> channel      a serial line at 115200 8N1, raw; raises OSError when it cannot be opened
    stop() close()

An endpoint is 6 octets: IPv4 address and port. A further platform adds a file with the same face.

A channel is a stream of octets that never blocks. All calls to its owner come through the driver, so they get the
time first and may use the stack; none comes from within a call of the owner, and none after `close`:

    owner.tcp_ready(now_ms, channel)         connected (a serial line is ready when it was opened, and does not say so)
    owner.tcp_failed(now_ms, channel)        not connected: refused, or no answer within 10 seconds; close it
    owner.tcp_readable(now_ms, channel)      octets, or the end, can be received; again and again while watched for
    owner.tcp_writable(now_ms, channel)      octets can be sent; again and again while watched for

    channel.watch(readable, writable)        what to call the owner for; nothing to begin with
    channel.send(buf) -> n                   how many octets of `buf` were taken: 0 when full, -1 when broken
    channel.receive_into(buf) -> n           how many octets came: 0 for none yet, -1 for the end, -2 when broken
    channel.shutdown() -> bool               end our direction, go on receiving; False where the platform cannot
    channel.close(reset=False)               free the socket, at once; with `reset` the other end is told of a failure,
                                             where the platform can

TCP connections have no Nagle delay, and notice a dead peer by keep-alives where the platform has them.
"""

import sys

from homeport_core.compat import MICROPYTHON
from homeport_core.errors import ConfigError

if not MICROPYTHON:
    from homeport_device.port_cpython import Port
elif sys.platform in ("linux", "darwin"):
    from homeport_device.port_unix import Port
elif sys.platform in ("esp32", "rp2"):
    from homeport_device.port_board import Port
else:
    raise ConfigError("no port for this platform: " + sys.platform)

__all__ = ["Port"]
