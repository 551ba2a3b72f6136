"""The reference device on the local network: discovery with stray octets, clear connections, PSK without randomness."""

from homeport_core.crypto import AesContext, NullContext, key_material
from homeport_core.packet import PacketWriter, encode
from homeport_core.payloads import (
    build_capability,
    build_notify,
    parse_ipx,
)
from homeport_core.spec import (
    CAP_ENCR_OFF,
    FL_EXCEPTION,
    FL_RESPONSE,
    NOTIFY_BAD_KEY_ID,
    NOTIFY_CP_ACCESS,
    NOTIFY_OK,
    PL_CAPABILITY,
    PL_IPX,
    PL_KEY_ID,
    PL_NONCE,
    PL_NOTIFY,
    PL_RANDOM,
    PLF_PAYLOADS,
    PT_U_CONNECT,
    PT_U_CONNECT_PSK,
    PT_U_VERIFY_PSK,
    SUITE_AES,
)
from reference_parts import BITS, MASK, RECEIVE_MAX

ZEROS = bytes(32)
PSK_CAPABILITIES = 0x960


def tlv(kind, data):
    return bytes((kind, 0)) + (len(data) + 4).to_bytes(2, "big") + data


class LocalAccess:
    """Part of `ReferenceDevice`."""

    def _discovered(self, data, source):
        wanted = bytes(data[12:]).partition(b"\x00")
        if data[3] != 1 or not wanted[1] or wanted[0] not in (b"*", self.device_id):
            return
        texts = ((1, self.device_id), (1, b"-"), (2, b"-"), (4, b"1"), (6, b"1"), (5, b"1"))
        items = b"".join(bytes((kind,)) + text + b"\x00\x31\x00" for kind, text in texts)
        port = self.local_port.to_bytes(2, "big")
        self._send(source, b"\x00\x80\x00\x01" + bytes(data[4:12]) + bytes(4) + port + items, self._local)

    def _local_packet(self, packet, source):
        if packet.type == PT_U_CONNECT and packet.first == PL_IPX:
            self._connect_clear(packet, source)
        elif packet.type == PT_U_CONNECT_PSK:
            self._connect_psk(packet, source)
        elif packet.type == PT_U_VERIFY_PSK:
            self._verify_psk(packet, source)

    def _local_nsi(self):
        self._next_nsi += 1
        return self._next_nsi.to_bytes(4, "big")

    def _connect_clear(self, packet, source):
        ipx = parse_ipx(packet.get(PL_IPX))
        nsi = ipx.sp or self._local_nsi()
        code = NOTIFY_OK
        if nsi not in self.connections:
            connection = self._described(packet, ipx, NullContext(), nsi)
            connection.is_local = True
            code = NOTIFY_OK if self.allow(connection) else NOTIFY_CP_ACCESS
            if code == NOTIFY_OK:
                self.connections[nsi] = connection
        payloads = [
            (PL_NOTIFY, build_notify(code, nsi)),
            (PL_CAPABILITY, build_capability(BITS | CAP_ENCR_OFF, MASK)),
        ]
        answer = encode(PT_U_CONNECT, payloads, seq=packet.seq, flags=FL_RESPONSE, cp=packet.cp)
        self._send(source, answer, self._local)

    def _connect_psk(self, packet, source):
        if packet.flags:
            self.connections.pop(packet.sp, None)
            return
        psk = self.psks.get(packet.get(PL_KEY_ID))
        nsi = self._local_nsi()
        answer = PacketWriter(bytearray(RECEIVE_MAX))
        if psk is None:
            answer.begin(packet.type, nsi, 0, FL_RESPONSE | FL_EXCEPTION, packet.cp, version=0)
            answer.add(PL_NOTIFY, build_notify(NOTIFY_BAD_KEY_ID))
            answer.finish()
        else:
            keys = AesContext(key_material(self.device_id, psk), False)
            nonce = packet.get(PL_NONCE)
            keys.open(packet)
            connection = self._described(packet, None, None, nsi)
            connection.is_local, connection.handshake, connection.nonce = True, keys, nonce
            self.connections[nsi] = connection
            answer.begin(packet.type, nsi, 0, FL_RESPONSE, packet.cp, version=0)
            answer.add(PL_CAPABILITY, build_capability(PSK_CAPABILITIES, PSK_CAPABILITIES, (SUITE_AES,)))
            answer.add(PL_NONCE, ZEROS)
            answer.seal(keys, tlv(PL_RANDOM, ZEROS) + tlv(PL_NONCE, nonce), bytes(16), PLF_PAYLOADS)
        self._send(source, answer.bytes(), self._local)

    def _verify_psk(self, packet, source):
        connection = self.connections.get(packet.sp)
        if connection is None or connection.handshake is None:
            return
        plaintext = connection.handshake.open(packet)
        assert (plaintext[0], plaintext[36:40], plaintext[40:]) == (PL_RANDOM, tlv(PL_NONCE, ZEROS)[:4], ZEROS)
        material = key_material(connection.nonce + ZEROS, plaintext[4:36] + ZEROS)
        connection.context = AesContext(material, False)
        answer = PacketWriter(bytearray(RECEIVE_MAX))
        answer.begin(packet.type, packet.sp, packet.seq, FL_RESPONSE, packet.cp, version=0)
        answer.add(PL_NOTIFY, build_notify(NOTIFY_OK))
        answer.finish()
        self._send(source, answer.bytes(), self._local)
