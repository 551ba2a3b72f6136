"""The query file that describes the queries of the specification's vectors (`query_encodings`)."""


def query(name, number, request="", response=""):
    return (
        f'<query name="{name}" id="{number}"><request>{request}</request>'
        f'<response format="json">{response}</response></query>'
    )


def parameter(name, kind, **attributes):
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<parameter name="{name}" type="{kind}"{more}/>'


def many(name, *fields):
    return f'<list name="{name}">{"".join(fields)}</list>'


def document(*queries):
    return f"<unabto_queries>{''.join(queries)}</unabto_queries>".encode()


def numbers(kind, *names):
    return "".join(parameter(name, kind) for name in names)


_BUS = numbers("uint8", "bus", "address")
_DATA = parameter("data", "raw", representation="hex")

# Several vectors share an id (each is of a device of its own), so they are in documents of their own.
VECTOR_FILES = [
    document(
        query("light_write.json", 1, numbers("uint8", "light_id", "light_on"), numbers("uint8", "light_state")),
        query("light_read.json", 2, numbers("uint8", "light_id"), numbers("uint8", "light_state")),
        query(
            "listExample.json",
            5,
            many("foo", parameter("bar", "uint8")),
            many("baz", parameter("qux", "uint8")),
        ),
        query(
            "advancedListExample.json",
            7,
            "",
            many(
                "foo",
                parameter("bar", "uint8"),
                many("foo1", parameter("baz", "uint32")),
                many("foo2", parameter("qux", "raw")),
            ),
        ),
        query(
            "heatpump_get_full_state.json",
            20000,
            "",
            numbers("uint8", "activated") + numbers("uint32", "mode", "target_temperature", "room_temperature"),
        ),
        query("heatpump_set_activation_state.json", 20010, *[numbers("uint8", "activated")] * 2),
        query("heatpump_set_target_temperature.json", 20020, *[numbers("uint32", "temperature")] * 2),
        query("heatpump_set_mode.json", 20030, *[numbers("uint32", "mode")] * 2),
    ),
    document(
        query("house_temperature.json", 1, numbers("uint32", "sensor_id"), numbers("int32", "temperature")),
        query("weather_station.json", 3, "", numbers("uint32", "temperature", "windspeed", "humidity")),
        query(
            "modbus_function.json",
            20000,
            _BUS + _DATA,
            _BUS + numbers("uint8", "result") + _DATA + numbers("uint8", "queryStatus"),
        ),
    ),
    document(
        query("async_request.json", 1, numbers("uint32", "expire_ms"), numbers("int32", "request_duration")),
        query("ina_data.json", 3, "", numbers("uint32", "voltage_v", "power_w")),
    ),
    document(query("raw_hex", 65535, _DATA, _DATA)),
    document(query("empty_raw", 65535, *[parameter("data", "raw")] * 2)),
    document(query("empty_list", 65535, *[many("l", parameter("x", "uint8"))] * 2)),
]
VECTOR_NAMES = {"(illustrative) raw hex": "raw_hex", "(illustrative) empty raw": "empty_raw"}
VECTOR_NAMES["(illustrative) empty list"] = "empty_list"
