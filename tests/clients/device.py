"""A device in Python, on paho: it connects with its certificate, says hello, takes its desired state and reports it applied.

Prints one JSON object with what it saw.
"""

import argparse
import base64
import json
import queue

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE = 20


class Device:
    def __init__(self, options, client_id):
        self.is_v5 = options.version == "5"
        protocol = mqtt.MQTTv5 if self.is_v5 else mqtt.MQTTv311
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)
        self.client.tls_set(ca_certs=options.root, certfile=options.certificate, keyfile=options.key)
        self.heard = queue.Queue()
        put = self.heard.put
        self.client.on_connect = lambda _c, _u, _f, reason, properties: put(("connack", reason.value, properties))
        self.client.on_subscribe = lambda _c, _u, _m, reasons, _p: put(("suback", [one.value for one in reasons], None))
        self.client.on_publish = lambda _c, _u, _m, reason, properties: put(("puback", reason.value, properties))
        self.client.on_message = lambda _c, _u, message: put(("message", message.topic, message.payload))
        self.client.on_disconnect = lambda _c, _u, _f, reason, _p: put(("disconnect", reason.value, None))
        host, port = options.server.rsplit(":", 1)
        self.client.connect(host, int(port), keepalive=60)
        self.client.loop_start()

    def next(self, kind):
        """What comes next, which must be of this kind; what is said of it, and what goes with it."""
        found, what, more = self.heard.get(timeout=PATIENCE)
        assert found == kind, f"{found} {what} instead of {kind}"
        return what, more

    def say(self, topic, message, properties=None):
        self.client.publish(topic, json.dumps(message), qos=1, properties=properties)


def main():
    parser = argparse.ArgumentParser()
    for name in ["server", "version", "id", "other", "root", "certificate", "key"]:
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    topic = lambda channel, device=options.id: f"muster/v1/{device}/{channel}/json"
    seen = {}

    # 1. Another client id than that of the certificate is turned away.
    stranger = Device(options, options.other)
    seen["foreign"], _ = stranger.next("connack")
    stranger.client.loop_stop()

    # 2. Its own: hello up, desired state down.
    device = Device(options, options.id)
    seen["connack"], terms = device.next("connack")
    if device.is_v5:
        seen["terms"] = [terms.ReceiveMaximum, terms.RetainAvailable, terms.WildcardSubscriptionAvailable]
    device.client.subscribe([(topic("desired"), 1), (topic("desired", options.other), 1), ("#", 1)])
    seen["granted"], _ = device.next("suback")
    hello = {"generation": 0, "digest": "0" * 64, "agent_version": "paho", "firmware": "2.3.1", "boot_id": 7}
    properties = None
    if device.is_v5:
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = [("line", "7"), ("line", "8")]
        properties.CorrelationData = b"1"
        properties.MessageExpiryInterval = 60
        properties.ContentType = "application/json"
    device.say(topic("hello"), hello, properties)
    envelope = None
    for _ in range(2):
        kind, what, more = device.heard.get(timeout=PATIENCE)
        if kind == "message":
            assert what == topic("desired"), what
            envelope = json.loads(more)
        else:
            seen["hello"] = what
    desired = json.loads(base64.b64decode(envelope["payload"]))
    seen["device"] = desired["device_id"]

    # 3. It reports what it was sent as applied.
    report = {
        "device_id": options.id,
        "generation": desired["generation"],
        "digest": desired["digest"],
        "facets": [{"facet": facet, "state": "applied"} for facet in ["config", "location", "firmware"]],
        "firmware": "2.3.1",
    }
    device.say(topic("report"), report)
    seen["report"], _ = device.next("puback")

    # 4. Another's topic: 5.0 hears why, 3.1.1 is cut.
    device.say(topic("hello", options.other), hello)
    if device.is_v5:
        seen["forbidden"], why = device.next("puback")
        seen["why"] = why.ReasonString
        device.client.disconnect()
    device.next("disconnect")
    device.client.loop_stop()
    print(json.dumps(seen))


main()
