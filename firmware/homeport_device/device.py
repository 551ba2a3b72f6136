"""A device as an application sees it (design, section 8):

    device = Device(load_config())

    @device.query(1, "light_write.json", params=(("light_id", UINT8), ("light_on", UINT8)),
                  result=(("light_state", UINT8),), allow=GUEST)
    def light_write(request, light_id, light_on):
        relay.value(light_on)
        return relay.value()

    device.run()

A handler gets the request and the declared parameters. It returns a tuple of results, a single result, or None, or
refuses with RefusedError(reason, AER code). It may be async; then it must not keep other requests waiting for
long, for a device takes one at a time. Whatever else it raises is answered with a system error and logged.
"""

import gc
import sys

from homeport_core.compat import MICROPYTHON, const
from homeport_core.errors import ConfigError, HomeportError
from homeport_core.rpc import Writer
from homeport_core.spec import AER_ACCEPTED, AER_INV_QUERY_ID, AER_NO_ACCESS

from homeport_device import acl_rpc, common, log
from homeport_device.acl import DEFAULTS, REMOTE, Acl
from homeport_device.acl_file import AclFile, Files
from homeport_device.attach import ATTACHED
from homeport_device.driver import Driver
from homeport_device.queries import ANYONE, GUEST, OWNER, Queries, Query
from homeport_device.stack import Stack

# Platforms that have their settings in flash.
_BOARDS = ("esp32", "rp2")
# Modules that settings need, and nothing else at once.
_ONCE = (
    "homeport_device.options",
    "homeport_device.config_check",
    "homeport_device.provisioned",
    "homeport_device.factory_reset",
    "homeport_device.hardware",
    "homeport_core.provisioning",
)
_UNUSABLE = const(3)  # exit code, as of the host's commands: a port, file or setting cannot be used

# On a small heap what stays must lie close together, or no buffer finds room between it: collect often, and when
# all is set up, each time a part of what is free has been used.
_COLLECT_EVERY_LEN = const(2048)
_COLLECT_PARTS = const(4)

__all__ = ["ANYONE", "GUEST", "OWNER", "Device", "load_config"]


def load_config(settings: dict | None = None) -> object:
    """The settings of this process, or of this board: see `options.load_config` and `provisioned.load_config`.

    What is needed only for them leaves memory again.
    """
    if MICROPYTHON:
        gc.collect()
        gc.threshold(_COLLECT_EVERY_LEN)
    from homeport_device import options

    if sys.platform in _BOARDS or "--board" in sys.argv:
        from homeport_device import provisioned

        config = provisioned.load_config(settings)
    else:
        config = options.load_config(settings)
    forget(_ONCE)
    return config


def forget(modules: tuple) -> None:
    """Let modules leave memory, by their full names; whoever imports them again loads them again."""
    for name in modules:
        package, _, short = name.rpartition(".")
        if sys.modules.pop(name, None):
            delattr(sys.modules[package], short)


class Device:
    """One device: its declared queries, its list of users, and the process around its stack.

    `name`, `type` and `icon` are what people see, `interface` is (id, major, minor). `permissions` are the
    settings of a new device: (system, default user, first user). `admit(connection) -> bool` decides who may
    connect, in place of the list of users.
    """

    def __init__(
        self,
        config: object,
        name: str = "Homeport device",
        type: str = "Homeport",
        icon: str = "chip-small.png",
        interface: tuple | None = None,
        permissions: tuple = DEFAULTS,
        admit: object = None,
    ) -> None:
        self.config = config
        self.name = config.name or name
        self.type = type
        self.icon = icon
        self.interface = interface
        self.queries = Queries()
        clear_admin = config.legacy_local or not config.label_secret
        self.acl = Acl(_users_of(config), permissions, config.users, config.tokens, clear_admin)
        self.stack = None
        self._admit = admit or self.acl.connection_allowed
        self.tasks = []
        self.pending = []  # (request, task) of async handlers at work
        self.driver = None
        self._port = None
        self.health = None
        common.declare(self)
        if config.event_ring:
            from homeport_device import health

            self.health = health.declare(self)

    # Declarations

    def query(self, query_id: int, name: str, params: tuple = (), result: tuple = (), allow: int = GUEST) -> object:
        """Declare the decorated function, plain or async, as the handler of a query. Raises ConfigError."""
        if acl_rpc.FIRST_ID <= query_id <= acl_rpc.LAST_ID:
            raise ConfigError("the ids 11000 to 11999 belong to the list of users", query_id)

        def declare(handler: object) -> object:
            self.queries.add(Query(query_id, name, params, result, allow, handler))
            return handler

        return declare

    def task(self, function: object) -> object:
        """Run the decorated async function beside the device, from its start on."""
        self.tasks.append(function)
        return function

    @property
    def hardware(self) -> object:
        """Pins, buses and sensors around this device (`hardware`), opened when first asked for. Raises ConfigError."""
        from homeport_device.hardware import opened

        return opened(self.config)

    def publish_event(self, data: bytes) -> None:
        """Hand the basestation a short message, with the next sign of life. Raises FullError."""
        self.stack.publish_event(data)

    def time_hint(self) -> int | None:
        """Unix time in seconds as the basestation tells it, where events are kept; None before it did.

        Nobody vouches for it: nothing that grants or refuses may depend on it.
        """
        return self.health.time_hint() if self.health else None

    # The process

    def run(self) -> None:
        """Run until the process is told to end; a device that cannot start says why and ends with code 3."""
        if self.config.show_interface:
            from homeport_device import interface

            for text in interface.lines(self.queries):
                print(text)
            return
        if self.config.store is not None:
            from homeport_device.appliance import run

            run(self)
            return
        try:
            self.start()
        except (HomeportError, OSError) as error:
            print("error:", error)
            sys.exit(_UNUSABLE)
        self.serve(self.tasks)

    def serve(self, tasks: list) -> None:
        """Run the stack, with these async functions beside it, until the process is told to end."""
        try:
            self._port.run(self.driver, [(function, self._task_ended) for function in [self._announce] + tasks])
        except KeyboardInterrupt:
            pass  # the order to end, before the port listened for it
        finally:
            self._port.close()
        log.line("stopped")

    def start(self) -> None:
        """Load the users, open the sockets, make the stack. Raises HomeportError and OSError."""
        from homeport_device.port import Port

        config = self.config
        if config.store is None:
            Files().make_folder(config.state_dir)
        log.event(log.START, "users:", self.acl.load())
        self._port = Port()
        config.local_port = self._port.open(config.local_port)
        try:
            self.stack = self._make_stack()
        except Exception:
            self._port.close()
            raise
        self.driver = Driver(self.stack, self._port, self._settled)
        self._was_attached = False
        if MICROPYTHON:
            gc.collect()
            gc.threshold(max(_COLLECT_EVERY_LEN, gc.mem_free() // _COLLECT_PARTS))

    def _make_stack(self) -> Stack:
        return Stack(self.config, self._port.random, self._port, self)

    async def _announce(self) -> None:
        """Say that the device answers now, for whoever started it."""
        config = self.config
        remote = "on" if config.key and self.remote_enabled() else "off"
        print("ready local-port=%d id=%s remote=%s" % (config.local_port, config.device_id, remote))

    def _settled(self, now_ms: int) -> None:
        attached = self.stack.state == ATTACHED
        if attached != self._was_attached:
            self._was_attached = attached
            way = "attached to " + _endpoint_text(self.stack.attach.gsp) if attached else "not attached"
            log.event(log.BASESTATION, way)

    def _task_ended(self, _: object, error: object) -> None:
        if error:
            log.event(log.FAULT, "task failed:", type(error).__name__, log.printable(error))

    # What the stack asks

    def connection_allowed(self, connection: object) -> bool:
        """Whether the client may connect."""
        return self._admit(connection)

    def psk_for(self, key_id: bytes, client_id: bytes, fingerprint: bytes | None) -> tuple | None:
        """Key and proved fingerprint of a local PSK connection."""
        return self.acl.psk_for(key_id, fingerprint, self.config.label_secret or None, self.config.reference_psk)

    def key_of(self, connection: object) -> tuple | None:
        """Id and key of the end-to-end key of the connection's user."""
        return self.acl.key_of(connection)

    def remote_enabled(self) -> bool:
        """The master switch: the setting and the system's REMOTE permission."""
        return self.config.master_switch and bool(self.acl.system & REMOTE)

    def request(self, request: object, reader: object, writer: object) -> int:
        """Answer a request: permission, parameters, handler."""
        query_id = request.query_id
        if acl_rpc.FIRST_ID <= query_id <= acl_rpc.LAST_ID:
            if self.config.store is None or request.is_legacy:
                return self.manage_users(request, reader, writer)
            from homeport_device.acl_record import manage_apart

            return manage_apart(self, request, reader)
        query = self.queries.get(query_id)
        if query is None:
            return AER_INV_QUERY_ID
        if query.allow != ANYONE and not self.acl.request_allowed(request.connection, query.allow):
            return AER_NO_ACCESS
        code, coroutine = query.answer(request, reader, writer)
        if code == AER_ACCEPTED:
            self.accept(request, query, coroutine)
        return code

    def dropped(self, request: object) -> None:
        """An accepted request needs no answer any more."""
        for entry in self.pending:
            if entry[0] is request:
                self.pending.remove(entry)
                entry[1].cancel()
                return

    def opened(self, connection: object) -> None:
        """A client is connected."""
        log.line("connected:", _connection_text(connection))

    def closed(self, connection: object) -> None:
        """A client is gone."""
        log.line("disconnected:", _connection_text(connection))

    def accept(self, request: object, query: object, coroutine: object) -> None:
        """Answer with what `query` makes of the coroutine's end."""
        task = self._port.start_task(coroutine, lambda value, error: self._finish(request, query, value, error))
        self.pending.append((request, task))

    def _finish(self, request: object, query: object, value: object, error: object) -> None:
        """The coroutine ended; its request may have been dropped meanwhile."""
        for entry in self.pending:
            if entry[0] is request:
                self.pending.remove(entry)
                writer = Writer(bytearray(self.config.response_max))
                code = query.failed(error) if error else query.write(value, writer)
                self.driver.complete(request, code, bytes(writer.buf[: writer.size()]))
                return

    def manage_users(self, request: object, reader: object, writer: object) -> int:
        """Answer a query of those that manage users."""
        code = acl_rpc.request(self.acl, request.connection, request.query_id, reader, writer)
        if self.stack is not None:
            self.stack.keys_changed()
        return code


def _users_of(config: object) -> object:
    """Where the list of users is kept."""
    if config.store is None:
        return AclFile(config.state_dir + "/acl.bin")
    from homeport_device.acl_record import AclRecord

    return AclRecord(config.store)


def _endpoint_text(endpoint: bytes) -> str:
    return ".".join(str(octet) for octet in endpoint[:4]) + ":%d" % (endpoint[4] << 8 | endpoint[5])


def _connection_text(connection: object) -> str:
    way = "local" if connection.is_local else "remote"
    who = connection.fingerprint.hex()[:8] + "..." if connection.fingerprint else "no fingerprint"
    return "%s %s %s" % (way, who, log.printable(connection.client_id))
