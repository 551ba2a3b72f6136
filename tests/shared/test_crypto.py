"""Key derivation and suites against the specification's vectors (core 3, 16)."""

import unittest

import vector_files as vectors
from homeport_core.crypto import AesContext, Mac, NullContext, ct_equal, key_material, prf, prf_plus
from homeport_core.errors import AuthError, FullError, ProtocolError
from homeport_core.packet import Packet, PacketWriter
from homeport_core.spec import IV_LEN, PL_CRYPTO
from vector_files import unhex

CRYPTO = vectors.load("vectors-crypto.json")


def context_of(vector, initiator):
    if vector["suite"] == "000a":
        return NullContext()
    return AesContext(unhex(vector["key_material"]), initiator)


def decoded(octets):
    packet = Packet()
    packet.decode_from(bytearray(octets))
    return packet


class Primitives(unittest.TestCase):
    def test_hmac_sha256(self):
        for vector in CRYPTO["hmac_sha256"]:
            with self.subTest(vector["key"]):
                mac = Mac(unhex(vector["key"])).digest(unhex(vector["message"]))
                self.assertEqual(mac[: vector["mac_length"]], unhex(vector["mac"]))

    def test_aes_cbc_both_ways_in_place(self):
        from homeport_core import crypto

        for vector in CRYPTO["aes128_cbc_nopad"]:
            key, iv = unhex(vector["key"]), unhex(vector["iv"])
            buf = bytearray(unhex(vector["plaintext"]))
            crypto.encrypt_in_place(key, iv, memoryview(buf))
            self.assertEqual(bytes(buf), unhex(vector["ciphertext"]))
            crypto.decrypt_in_place(key, iv, memoryview(buf))
            self.assertEqual(bytes(buf), unhex(vector["plaintext"]))

    def test_prf(self):
        for vector in CRYPTO["prf"]:
            with self.subTest(vector["name"]):
                self.assertEqual(prf(unhex(vector["key"]), unhex(vector["message"])), unhex(vector["output"]))

    def test_prf_plus(self):
        for vector in CRYPTO["prfplus"]:
            with self.subTest(vector["name"]):
                out = prf_plus(unhex(vector["key"]), unhex(vector["seed"]), vector["length"])
                self.assertEqual(out, unhex(vector["output"]))

    def test_ct_equal_compares_length_and_every_octet(self):
        self.assertTrue(ct_equal(b"", b""))
        self.assertTrue(ct_equal(b"abc", b"abc"))
        for other in (b"", b"ab", b"abcd", b"abd", b"xbc"):
            self.assertFalse(ct_equal(b"abc", other))


class KeyMaterial(unittest.TestCase):
    def test_reference_vector(self):
        for vector in CRYPTO["key_material"]:
            nonces, seeds = unhex(vector["nonces"]), unhex(vector["seeds"])
            self.assertEqual(prf(nonces, seeds), unhex(vector["skeyseed"]))
            self.assertEqual(key_material(nonces, seeds), unhex(vector["key_material"]))

    def test_from_device_id_and_key(self):
        for vector in CRYPTO["psk_key_material"]["cases"]:
            with self.subTest(vector["device_id"]):
                material = key_material(unhex(vector["device_id_hex"]), unhex(vector["psk"]))
                self.assertEqual(material, unhex(vector["key_material"]))

    def test_from_a_handshake(self):
        for vector in CRYPTO["handshake_key_material"]["cases"]:
            with self.subTest(vector["name"]):
                nonces = unhex(vector["initiator_nonce"]) + unhex(vector["responder_nonce"])
                seeds = unhex(vector["initiator_random"]) + unhex(vector["responder_random"])
                self.assertEqual(key_material(nonces, seeds), unhex(vector["key_material"]))

    def test_a_context_needs_96_octets(self):
        for n in (0, 64, 95, 97):
            self.assertRaises(AuthError, AesContext, bytes(n), True)


class SealedPackets(unittest.TestCase):
    def test_sealing_gives_the_vector_octet_for_octet(self):
        for vector in CRYPTO["sealed_packets"]:
            with self.subTest(vector["name"]):
                expected = unhex(vector["packet"])
                clear = decoded(expected)
                writer = PacketWriter(bytearray(len(expected)))
                writer.begin(
                    vector["packet_type"],
                    vector["nsi_sp"].to_bytes(4, "big"),
                    vector["seq"],
                    vector["flags"],
                    vector["nsi_cp"].to_bytes(4, "big"),
                    vector["tag"],
                    unhex(vector["nsi_co"]),
                    vector["version"],
                )
                for kind, flags, data in clear.payloads():
                    if kind != PL_CRYPTO:
                        writer.add(kind, data, flags)
                context = context_of(vector, vector["sender_is_initiator"])
                iv = unhex(vector["iv"] or "")
                n = writer.seal(context, unhex(vector["plaintext"]), iv, vector["crypto_payload_flags"])
                self.assertEqual(bytes(writer.buf[:n]), expected)

    def test_opening_gives_the_plaintext(self):
        for vector in CRYPTO["sealed_packets"]:
            with self.subTest(vector["name"]):
                packet = decoded(unhex(vector["packet"]))
                context = context_of(vector, not vector["sender_is_initiator"])
                self.assertEqual(context.open(packet), unhex(vector["plaintext"]))

    def test_every_packet_to_reject_is_rejected(self):
        for vector in CRYPTO["must_reject"]:
            with self.subTest(vector["name"]):
                context = context_of(vector, vector["receiver_is_initiator"])
                with self.assertRaises(ProtocolError):
                    context.open(decoded(unhex(vector["packet"])))

    def test_no_damaged_sealed_packet_is_accepted(self):
        for vector in CRYPTO["sealed_packets"]:
            if vector["suite"] != "230a" or len(vector["packet"]) > 200:
                continue
            context = context_of(vector, not vector["sender_is_initiator"])
            for name, octets in vectors.damaged(unhex(vector["packet"])):
                with self.subTest(vector["name"] + ", " + name):
                    with self.assertRaises(ProtocolError):
                        context.open(decoded(octets))

    def test_genuine_basestation_packet_of_2012_has_a_right_mac(self):
        vector = CRYPTO["captured_u_attach_request"]
        octets = unhex(vector["packet"])
        packet = decoded(octets)
        material = bytes(32) + unhex(vector["mac_key"]) + bytes(32)
        AesContext(material, initiator=False).verify(packet)

    def test_field_clients_pad_with_a_two_behind_a_sacrificial_octet(self):
        # ping of core 15: 70696e67 followed by one octet 02, so that "g" goes too
        body = unhex("00000011") + b"ping\x02"
        head = unhex("99999999000001591602000000320021") + unhex("3600") + bytes((0, len(body) + 8)) + unhex("000a")
        octets = bytearray(head + body)
        octets[14:16] = (len(octets) + 2).to_bytes(2, "big")
        octets += (sum(octets) & 0xFFFF).to_bytes(2, "big")
        self.assertEqual(NullContext().open(decoded(octets)), unhex("00000011") + b"pin")

    def test_null_pad_longer_than_the_body_is_rejected(self):
        octets = bytearray(unhex("9999999900000159160200000032001b") + unhex("36000009000a") + b"\x09")
        octets += b"\x00\x00\x00\x00"
        octets = octets[:25]
        octets[14:16] = (25).to_bytes(2, "big")
        octets[18:20] = (9).to_bytes(2, "big")
        octets[22] = 9
        octets[23:25] = (sum(octets[:23]) & 0xFFFF).to_bytes(2, "big")
        with self.assertRaises(AuthError):
            NullContext().open(decoded(octets))

    def test_the_most_plaintext_that_fits_is_what_space_says(self):
        material = bytes(range(96))
        for context in (AesContext(material, True), NullContext()):
            for capacity in range(80, 120):
                writer = PacketWriter(bytearray(capacity))
                writer.begin(22)
                most = writer.space(context)
                writer.seal(context, bytes(most), bytes(IV_LEN))
                self.assertTrue(writer.n <= capacity)
                writer.begin(22)
                with self.assertRaises(FullError):
                    writer.seal(context, bytes(most + 1), bytes(IV_LEN))


if __name__ == "__main__":
    unittest.main()
