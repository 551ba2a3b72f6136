"""Which port this platform has. A port is everything that a stack needs of the outside:

    now_ms()                                 wrapping ticks (homeport_core.ticks)
    random(n) -> bytes                       unpredictable octets of the operating system
    open(local_port) -> int                  bind both sockets; the local port taken; raises ConfigError
    send(socket, endpoint, buf, n)           LOCAL or REMOTE; a datagram that cannot leave is counted in `unsent`
    resolve(name)                            look a name up, answer through driver.resolved()
    reopen()                                 a fresh remote socket
    local_endpoint() -> bytes                of the remote socket, 0.0.0.0 where the address is not known
    arm(delay_ms)                            call driver.timeout() after that, in place of what was armed; None: never
    run(driver, tasks)                       until SIGTERM, SIGINT or stop(); `tasks` are async functions to run besides
    start_task(coroutine, done)              run it, then call done(result, exception)
    stop() close()

An endpoint is 6 octets: IPv4 address and port. Boards add a file with the same face.
"""

import sys

from homeport_core.compat import MICROPYTHON
from homeport_core.errors import ConfigError

if not MICROPYTHON:
    from homeport_device.port_cpython import Port
elif sys.platform in ("linux", "darwin"):
    from homeport_device.port_unix import Port
else:
    raise ConfigError("no port for this platform: " + sys.platform)

__all__ = ["Port"]
