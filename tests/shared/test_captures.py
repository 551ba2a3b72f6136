"""Every datagram of every capture is decoded and encoded again, octet for octet, every payload through its codec."""

import unittest

import vector_files as vectors
from homeport_core import catalogue, legacy, payloads, spec
from homeport_core.crypto import AesContext, NullContext
from homeport_core.packet import Packet, PacketWriter
from vector_files import unhex


def same(data):
    return data


CODECS = {
    spec.PL_SP_ID: (payloads.parse_id, lambda value: payloads.build_id(*value)),
    spec.PL_CP_ID: (payloads.parse_id, lambda value: payloads.build_id(*value)),
    spec.PL_DESCR: (payloads.parse_id, lambda value: payloads.build_id(*value)),
    spec.PL_NOTIFY: (payloads.parse_notify, lambda value: payloads.build_notify(*value)),
    spec.PL_IPX: (payloads.parse_ipx, lambda value: payloads.build_ipx(*value)),
    spec.PL_GW: (payloads.parse_gw, lambda value: payloads.build_gw(*value)),
    spec.PL_VERSION: (payloads.parse_version, lambda value: payloads.build_version(*value)),
    spec.PL_CAPABILITY: (payloads.parse_capability, lambda value: payloads.build_capability(*value)),
    spec.PL_PIGGY: (payloads.parse_piggy, payloads.build_piggy),
    spec.PL_TIME: (payloads.parse_time, lambda value: payloads.build_time(*value)),
    spec.PL_FP: (payloads.parse_fp, payloads.build_fp),
    spec.PL_PUSH: (payloads.parse_push, lambda value: payloads.build_push(*value)),
    spec.PL_RENDEZVOUS_STATS: (payloads.parse_rendezvous_stats, lambda value: payloads.build_rendezvous_stats(*value)),
    spec.PL_ATTACH_STATS: (payloads.parse_attach_stats, lambda value: payloads.build_attach_stats(*value)),
    spec.PL_CONNECTION_INFO: (payloads.parse_items, payloads.build_items),
    spec.PL_WINDOW: (catalogue.parse_window, catalogue.build_window),
    spec.PL_SACK: (catalogue.parse_sack, catalogue.build_sack),
    spec.PL_STATS: (catalogue.parse_stats, catalogue.build_stats),
    spec.PL_STREAM_STATS: (payloads.parse_items, payloads.build_items),
    catalogue.PL_VERIFY: (catalogue.parse_verify, None),
    # their data are octets without structure, and CRYPTO belongs to the suites
    spec.PL_NONCE: (same, same),
    spec.PL_EP: (same, same),
    spec.PL_KEY_ID: (same, same),
    spec.PL_CRYPTO: (same, same),
}


def filler(data):
    return 0xAB if data[0] == 0xAB else 0xCD


def encode_again(packet):
    """The packet from its decoded fields alone."""
    writer = PacketWriter(bytearray(2048))
    writer.reply_to(packet, 0)
    for kind, flags, data in packet.payloads():
        parse, build = CODECS[kind]
        value = parse(data)
        if kind == catalogue.PL_VERIFY:
            writer.add(kind, catalogue.build_verify(value, filler(data)), flags)
        elif kind == spec.PL_WINDOW and packet.overlap:
            # the reference's broken RST: its WINDOW claims CRYPTO's first octets
            writer.add(kind, data, flags)
            writer.n -= packet.overlap
        elif kind == spec.PL_NONCE and packet.type == spec.PT_GW_CONN_U and len(data) == 38:
            writer.add(kind, catalogue.build_gateway_nonce(catalogue.parse_gateway_nonce(data)), flags)
        else:
            writer.add(kind, build(value), flags)
    writer.finish()
    return writer.bytes()


# A client in the field pads with one octet of value 2; ours never does, so its packets are not sealed alike.
LOOSE_PADDING = ("genvexnabto_client", "local_edge_cases")


def seal_again(packet, context, plaintext, iv):
    """The packet from its decoded fields, its plaintext and its IV."""
    writer = PacketWriter(bytearray(2048))
    writer.reply_to(packet, 0)
    sealed_flags = 0
    for kind, flags, data in packet.payloads():
        if kind == spec.PL_CRYPTO:
            sealed_flags = flags
        else:
            writer.add(kind, data, flags)
    writer.seal(context, plaintext, iv, sealed_flags)
    return writer.bytes()


def legacy_again(octets):
    if octets[1] & 0x80:
        opcode, echo, body, error = legacy.parse_response(octets)
        return legacy.build_response(opcode, echo, body, error)
    opcode, echo, body = legacy.parse_request(octets)
    return legacy.build_request(opcode, echo, body)


class Captures(unittest.TestCase):
    def test_every_datagram_survives_decoding_and_encoding(self):
        count = 0
        for name in vectors.CAPTURES:
            for index, datagram in enumerate(vectors.capture(name)["datagrams"]):
                if "hex" not in datagram:
                    continue  # a note between datagrams
                octets = unhex(datagram["hex"])
                with self.subTest("%s %d" % (name, index)):
                    if datagram["decoded"].get("type", "").startswith("LEGACY"):
                        self.assertEqual(legacy_again(octets), octets)
                    else:
                        packet = Packet()
                        packet.decode_from(octets)
                        self.assertEqual(encode_again(packet), octets)
                count += 1
        self.assertTrue(count > 500)

    def test_decoded_fields_are_what_the_capture_says(self):
        for name in vectors.CAPTURES:
            for index, datagram in enumerate(vectors.capture(name)["datagrams"]):
                said = datagram.get("decoded", {})
                if "sp" not in said:
                    continue
                packet = Packet()
                packet.decode_from(unhex(datagram["hex"]))
                with self.subTest("%s %d" % (name, index)):
                    self.assertEqual(catalogue.PT_NAMES[packet.type], said["type"])
                    self.assertEqual(int.from_bytes(packet.cp, "big"), said["cp"])
                    self.assertEqual(int.from_bytes(packet.sp, "big"), said["sp"])
                    self.assertEqual((packet.version, packet.seq, packet.n), (said["ver"], said["seq"], said["len"]))
                    self.assertEqual(len(packet.payloads()), len(said["payloads"]))

    def test_every_sealed_packet_of_a_capture_opens_and_is_sealed_again(self):
        count = 0
        for name in vectors.CAPTURES:
            capture = vectors.capture(name)
            for index, datagram in enumerate(capture["datagrams"]):
                for said in datagram.get("decoded", {}).get("payloads", []):
                    if said["p"] != "CRYPTO" or "plain" not in said:
                        continue
                    secret = capture["secrets"].get("key96_" + said.get("key", ""))
                    count += 1
                    with self.subTest("%s %d" % (name, index)):
                        is_clear = said["code"] == "000a"
                        sender = NullContext() if is_clear else AesContext(unhex(secret), said["way"] == "i2r")
                        peer = NullContext() if is_clear else AesContext(unhex(secret), said["way"] == "r2i")
                        octets = unhex(datagram["hex"])
                        packet = Packet()
                        packet.decode_from(bytearray(octets))
                        iv = octets[packet.crypto_off + 2 : packet.crypto_off + 18]
                        plaintext = peer.open(packet)
                        self.assertEqual(plaintext, unhex(said["plain"]))
                        if not packet.overlap and name not in LOOSE_PADDING:
                            self.assertEqual(seal_again(packet, sender, plaintext, iv), octets)
        self.assertTrue(count > 250)

    def test_every_sealed_stream_vector_opens(self):
        data = vectors.load("vectors-stream.json")
        material = unhex(data["conventions"]["key96"])
        entries = data["packets"] + [step for entry in data["transcripts"] for step in entry["steps"]]
        count = 0
        for entry in entries:
            if "plaintext_hex" not in entry or not entry.get("crypto"):
                continue
            packet = Packet()
            packet.decode_from(bytearray(unhex(entry["hex"])))
            is_clear = entry["crypto"]["code"] == "0x000a"
            context = NullContext() if is_clear else AesContext(material, entry["from"] == "device")
            with self.subTest(entry.get("id") or entry["t_ms"]):
                self.assertEqual(context.open(packet), unhex(entry["plaintext_hex"]))
            count += 1
        self.assertTrue(count > 20)

    def test_every_stream_vector_survives_decoding_and_encoding(self):
        data = vectors.load("vectors-stream.json")
        packets = [entry["hex"] for entry in data["packets"]]
        packets += [step["hex"] for entry in data["transcripts"] for step in entry["steps"] if "hex" in step]
        for entry in data["device_stimulus_response"]:
            for step in entry["steps"]:
                packets += [answer["hex"] for answer in step.get("responses", [])]
                if step.get("stimulus"):
                    packets.append(step["stimulus"]["hex"])
        for index, text in enumerate(packets):
            with self.subTest(index):
                packet = Packet()
                packet.decode_from(unhex(text))
                self.assertEqual(encode_again(packet), unhex(text))

    def test_every_transcript_of_the_crypto_vectors_survives_too(self):
        for transcript in ("secure", "insecure"):
            for index, entry in enumerate(vectors.load("vectors-crypto.json")["transcripts"][transcript]["packets"]):
                octets = unhex(entry["packet"])
                with self.subTest("%s %d %s" % (transcript, index, entry["what"])):
                    if (
                        octets[0] == 0
                        and octets[3] < 100
                        and octets[:3] in (b"\x00\x00\x00", b"\x00\x80\x00")
                        and ("legacy" in entry["what"].lower() or "discovery" in entry["what"].lower())
                    ):
                        self.assertEqual(legacy_again(octets), octets)
                    else:
                        packet = Packet()
                        packet.decode_from(octets)
                        self.assertEqual(encode_again(packet), octets)


if __name__ == "__main__":
    unittest.main()
