"""The access control list: who may use the device, and how (specification, application 1.2 to 1.6, 1.10, 1.14).

A user is known by a fingerprint alone. All users live in one bytearray of fixed size, a slot each, laid out as in
the file (application 1.7), so that a full table costs a board 118 octets a user and nothing ever grows. A slot
whose fingerprint is all zero is free: the all-zero fingerprint is nobody's and is never found nor added.

A change is made in memory and then stored; when the store fails, memory goes back to what it was.

A user's pre-shared key is for local connections, as in the reference, or, when its id says so, an end-to-end key: then
the user may do nothing without it (docs/extensions.md).

Checks take a connection (`fingerprint` of 16 octets or None, `is_local`, `is_psk`, `key_id`), or None for a request
that came without one: then every check says no.
"""

from homeport_core.compat import const
from homeport_core.errors import ConfigError, FullError, StorageError
from homeport_core.spec import FINGERPRINT_LEN, KEY_ID_LEN, KEY_ID_PREFIX, PSK_LEN

from homeport_device import log

# Permission bits of a user; PAIRING is what ADMIN's bit means in the system word. The low 16 bits are the
# application's (application 1.3).
LOCAL = const(0x80000000)
REMOTE = const(0x40000000)
ADMIN = const(0x20000000)
PAIRING = const(0x20000000)
CUSTOM_MASK = const(0x0000FFFF)

# What a device starts with: (system, default user, first user). A user who pairs after the first may use the
# device at home only, until an owner says otherwise (application 1.5).
DEFAULTS = (0xE0000000, 0x80000000, 0xE0000000)
CLOSED = (0, 0, 0)

NOBODY = bytes(16)
NAME_MAX = const(63)
TOKEN_LEN = const(256)
USERS_MAX = const(1024)

# Offsets in a slot; name and permissions follow the token, which is there only where tokens are stored.
_PSK_ID_SET = const(16)
_PSK_ID = const(17)
_PSK_SET = const(33)
_PSK = const(34)
TOKEN_OFF = const(50)
_NAME_LEN = const(64)
_TAIL_LEN = const(68)


class Acl:
    """The table, its settings and its decisions. `load()` before use.

    `store` has `load(acl)` and `save(acl)`, both raising StorageError; None keeps the list in memory only.
    `defaults` are the settings of a device that has no stored list. `tokens` keeps push tokens (256 octets a
    user more). `clear_admin` false refuses administration on clear local connections, where anybody on the
    network can claim an owner's fingerprint (core 14 row 13).
    """

    def __init__(
        self,
        store: object = None,
        defaults: tuple = DEFAULTS,
        size: int = 32,
        tokens: bool = False,
        clear_admin: bool = True,
    ) -> None:
        if not 1 <= size <= USERS_MAX:
            raise ConfigError("the number of users must be between 1 and 1024", size)
        self.size = size
        self.tokens = tokens
        self.clear_admin = clear_admin
        self.pairing_mask = PAIRING  # 0 on a device with a button, until somebody presses it
        self.defaults = defaults
        self.system, self.default_user, self.first_user = defaults
        self._store = store
        self._slot_len = TOKEN_OFF + _TAIL_LEN + (TOKEN_LEN if tokens else 0)
        self._table = bytearray(size * self._slot_len)

    # The table

    def load(self) -> str:
        """Take what is stored; returns what happened, in a word or a sentence for the log."""
        return self._store.load(self) if self._store else "in memory only"

    def users(self) -> list:
        """The slots in use, in order."""
        return [slot for slot in range(self.size) if self.fingerprint(slot) != NOBODY]

    def find(self, fingerprint: bytes | None) -> int:
        """The user's slot, -1 when unknown."""
        if not fingerprint or len(fingerprint) != FINGERPRINT_LEN or fingerprint == NOBODY:
            return -1
        return self._search(fingerprint, 0)

    def fingerprint(self, slot: int) -> bytes:
        """16 octets, all zero when the slot is free."""
        return self._field(slot, 0, FINGERPRINT_LEN)

    def name(self, slot: int) -> bytes:
        """At most 63 octets, as the user gave them."""
        return _text(self._field(slot, self._slot_len - _TAIL_LEN, _NAME_LEN))

    def permissions(self, slot: int) -> int:
        """The user's 32-bit permission word."""
        return int.from_bytes(self._field(slot, self._slot_len - 4, 4), "big")

    def token(self, slot: int) -> bytes:
        """The user's push token, at most 255 octets; empty where tokens are not stored."""
        return _text(self._field(slot, TOKEN_OFF, TOKEN_LEN)) if self.tokens else b""

    def key_id(self, slot: int) -> bytes:
        """The id of the user's pre-shared key, empty without one."""
        octets = self.record(slot)
        return bytes(octets[_PSK_ID : _PSK_ID + KEY_ID_LEN]) if octets[_PSK_ID_SET] and octets[_PSK_SET] else b""

    def has_key_id(self, key_id: bytes) -> bool:
        """Whether a user has a key of this id."""
        return self._search(key_id, _PSK_ID) >= 0

    def key_of(self, connection: object) -> tuple | None:
        """(id, key) of the end-to-end key that the connection's user has to use, or None."""
        slot = self.find(connection.fingerprint)
        if slot < 0 or not self.key_id(slot).startswith(KEY_ID_PREFIX):
            return None
        return self.key_id(slot), self._field(slot, _PSK, PSK_LEN)

    def record(self, slot: int) -> memoryview:
        """The slot's octets, for a store."""
        off = slot * self._slot_len
        return memoryview(self._table)[off : off + self._slot_len]

    # Changes; each raises StorageError, with nothing changed, when it cannot be stored

    def add(self, fingerprint: bytes, name: bytes, key_id: bytes | None = None, key: bytes | None = None) -> int:
        """Give a new user a slot: the first user's permissions in an empty table, else the default ones.

        `key_id` and `key` as for `set_psk`. Raises FullError. The caller has made sure that the user is unknown and
        not NOBODY.
        """
        used = self.users()
        slot = next((i for i in range(self.size) if i not in used), -1)
        if slot < 0:
            raise FullError("the table of users is full", self.size)
        permissions = self.default_user if used else self.first_user
        new = bytearray(self._slot_len)
        new[:FINGERPRINT_LEN] = fingerprint
        _put_text(new, self._slot_len - _TAIL_LEN, name, NAME_MAX)
        new[-4:] = permissions.to_bytes(4, "big")
        _put_key(new, key_id, key)
        self._change(slot, new)
        return slot

    def set_name(self, slot: int, name: bytes) -> None:
        """Rename; cut to 63 octets."""
        new = bytearray(self.record(slot))
        _put_text(new, self._slot_len - _TAIL_LEN, name, NAME_MAX)
        self._change(slot, new)

    def set_permissions(self, slot: int, permissions: int) -> None:
        """Assign all 32 bits."""
        new = bytearray(self.record(slot))
        new[-4:] = permissions.to_bytes(4, "big")
        self._change(slot, new)

    def set_token(self, slot: int, token: bytes) -> None:
        """Keep a push token, cut to 255 octets. Only where tokens are stored."""
        new = bytearray(self.record(slot))
        _put_text(new, TOKEN_OFF, token, TOKEN_LEN - 1)
        self._change(slot, new)

    def set_psk(self, slot: int, key_id: bytes | None, key: bytes | None) -> None:
        """Give the user a local key of 16 octets and its id, or take it away with None, None."""
        new = bytearray(self.record(slot))
        _put_key(new, key_id, key)
        self._change(slot, new)

    def remove(self, slot: int) -> None:
        """Free the slot."""
        self._change(slot, bytes(self._slot_len))

    def set_settings(self, system: int, default_user: int, first_user: int | None = None) -> None:
        """Assign the system words; the first user's stays as it is when None."""
        old = (self.system, self.default_user, self.first_user)
        self.system = system
        self.default_user = default_user
        if first_user is not None:
            self.first_user = first_user
        try:
            self._save()
        except StorageError:
            self.system, self.default_user, self.first_user = old
            raise

    def reset(self, settings: tuple) -> None:
        """Forget all users in memory, for a store that is about to fill the table."""
        self.system, self.default_user, self.first_user = settings
        for i in range(len(self._table)):  # in place: a second table may not fit a board's memory
            self._table[i] = 0

    # Decisions (application 1.6)

    def connection_allowed(self, connection: object) -> bool:
        """Whether a new connection may exist. A stranger may connect locally, if only to ask for pairing."""
        if connection is None or connection.fingerprint is None:
            return False
        way = LOCAL if connection.is_local else REMOTE
        if not self.system & way:
            return False
        slot = self.find(connection.fingerprint)
        return connection.is_local if slot < 0 else bool(self.permissions(slot) & way)

    def request_allowed(self, connection: object, required: int = 0) -> bool:
        """Whether a paired user has all the bits of `required`, and the one for the way the request came."""
        slot = -1 if connection is None else self.find(connection.fingerprint)
        if slot < 0 or (required & ADMIN and not self._may_administer(connection)):
            return False
        required |= LOCAL if connection.is_local else REMOTE
        return self.permissions(slot) & required == required and self._uses_key(slot, connection)

    # A tunnel needs what a request needs (application 1.6).
    tunnel_allowed = request_allowed

    def pair_allowed(self, connection: object) -> bool:
        """Whether this connection may pair: it is local and names a fingerprint, and pairing is open."""
        if connection is None or not connection.fingerprint or connection.fingerprint == NOBODY:
            return False
        return connection.is_local and bool(self.system & self.pairing_mask)

    def is_owner(self, connection: object) -> bool:
        """Whether the user has ADMIN, whichever way they came."""
        slot = -1 if connection is None else self.find(connection.fingerprint)
        return slot >= 0 and bool(self.permissions(slot) & ADMIN) and self._may_administer(connection)

    def is_paired(self, connection: object) -> bool:
        """Whether the user is in the table."""
        return connection is not None and self.find(connection.fingerprint) >= 0

    def psk_for(
        self, key_id: bytes, claimed: bytes | None, pairing_key: bytes | None, reference: bool = False
    ) -> tuple | None:
        """The key of a local PSK connection and the fingerprint that it proves, or None (application 1.10).

        The all-zero id names `pairing_key`, offered while pairing is open; who holds it is still a stranger, so
        a claimed fingerprint counts only when no user has it. Any other id is one user's own. `reference` gives
        the pairing key out always and believes every claim, for tests against other implementations.
        """
        if key_id == NOBODY:
            if pairing_key is None or not (reference or self.system & self.pairing_mask):
                return None
            known = self.find(claimed) >= 0
            return pairing_key, claimed if reference or not known else None
        slot = self._search(key_id, _PSK_ID)
        if slot < 0:
            return None
        octets = self.record(slot)
        user = self.fingerprint(slot)
        if not octets[_PSK_ID_SET] or not octets[_PSK_SET] or (claimed and claimed != user):
            return None
        return bytes(octets[_PSK : _PSK + PSK_LEN]), user

    def _uses_key(self, slot: int, connection: object) -> bool:
        """Whether the connection uses the user's end-to-end key, if there is one, or is an old client's, and may."""
        key_id = self.key_id(slot)
        if not key_id.startswith(KEY_ID_PREFIX) or connection.key_id == key_id:
            return True
        return connection.is_local and not connection.is_psk and self.clear_admin

    def _may_administer(self, connection: object) -> bool:
        return self.clear_admin or not connection.is_local or connection.is_psk

    def _field(self, slot: int, off: int, n: int) -> bytes:
        off += slot * self._slot_len
        return bytes(self._table[off : off + n])

    def _search(self, octets: bytes, field_off: int) -> int:
        """The slot that has `octets` at `field_off`, -1 without. Allocates nothing."""
        at = self._table.find(octets)
        while at >= 0 and at % self._slot_len != field_off:
            at = self._table.find(octets, at + 1)
        return at // self._slot_len if at >= 0 else -1

    def _change(self, slot: int, new: bytes | bytearray) -> None:
        record = self.record(slot)
        old = bytes(record)
        record[:] = new
        try:
            self._save()
        except StorageError:
            record[:] = old
            raise

    def _save(self) -> None:
        if self._store:
            try:
                self._store.save(self)
            except StorageError as error:
                log.event(log.STORAGE, error)
                raise


def _put_key(record: bytearray, key_id: bytes | None, key: bytes | None) -> None:
    record[_PSK_ID_SET:TOKEN_OFF] = bytes(TOKEN_OFF - _PSK_ID_SET)
    if key_id is not None and key is not None:
        if len(key_id) != KEY_ID_LEN or key_id == NOBODY or len(key) != PSK_LEN:
            raise ConfigError("a key and its id are 16 octets, the id not all zero")
        record[_PSK_ID_SET] = record[_PSK_SET] = 1
        record[_PSK_ID : _PSK_ID + KEY_ID_LEN] = key_id
        record[_PSK : _PSK + PSK_LEN] = key


def _text(field: bytes) -> bytes:
    """The octets before the first NUL."""
    end = field.find(b"\x00")
    return field if end < 0 else field[:end]


def _put_text(record: bytearray, off: int, text: bytes, limit: int) -> None:
    """Store `text`, cut to `limit`, in a field of `limit` + 1 octets that ends with a NUL."""
    text = text[:limit]
    record[off : off + limit + 1] = text + bytes(limit + 1 - len(text))
