//! The MQTT gate and the bus behind it.
