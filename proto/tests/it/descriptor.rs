//! The gRPC contract as a list: every service, method, message, field, number and type. A line that changes or goes is
//! a client that breaks; a line that comes is blessed with `MUSTER_BLESS=1`.

use crate::fixture::{is_blessed, path};
use muster_proto::v1::DESCRIPTORS;
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use serde_json::Value;
use std::{collections::BTreeSet, fs};

const PACKAGE: &str = "muster.v1";

fn files() -> FileDescriptorSet {
    FileDescriptorSet::decode(DESCRIPTORS).unwrap()
}

fn short(name: &str) -> &str {
    name.trim_start_matches('.')
}

/// Whether this is the entry type that protobuf makes for a map.
fn is_map_entry(message: &DescriptorProto) -> bool {
    message
        .options
        .as_ref()
        .is_some_and(|options| options.map_entry())
}

fn kind(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum => short(field.type_name()).to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

fn field_line(scope: &str, message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let entry = message
        .nested_type
        .iter()
        .filter(|nested| is_map_entry(nested))
        .find(|nested| short(field.type_name()) == format!("{scope}.{}", nested.name()));
    let kind = match (entry, field.label()) {
        (Some(entry), _) => format!("map<{}, {}>", kind(&entry.field[0]), kind(&entry.field[1])),
        (None, Label::Repeated) => format!("repeated {}", kind(field)),
        (None, _) if field.proto3_optional() => format!("optional {}", kind(field)),
        (None, _) => kind(field),
    };
    let choice = field
        .oneof_index
        .filter(|_| !field.proto3_optional())
        .map(|index| {
            format!(
                " in oneof {}",
                message.oneof_decl[usize::try_from(index).unwrap()].name()
            )
        })
        .unwrap_or_default();
    format!(
        "field {scope}.{} = {} {kind}{choice}",
        field.name(),
        field.number()
    )
}

fn message_lines(scope: &str, message: &DescriptorProto, lines: &mut Vec<String>) {
    let name = format!("{scope}.{}", message.name());
    lines.push(format!("message {name}"));
    lines.extend(
        message
            .field
            .iter()
            .map(|field| field_line(&name, message, field)),
    );
    // A number or name that was given up stays given up.
    for range in &message.reserved_range {
        lines.push(format!(
            "reserved {name} {} to {}",
            range.start(),
            range.end() - 1
        ));
    }
    lines.extend(
        message
            .reserved_name
            .iter()
            .map(|reserved| format!("reserved {name} {reserved}")),
    );
    for nested in message.nested_type.iter().filter(|nested| !is_map_entry(nested)) {
        message_lines(&name, nested, lines);
    }
    for nested in &message.enum_type {
        enum_lines(&name, nested, lines);
    }
}

fn enum_lines(scope: &str, item: &EnumDescriptorProto, lines: &mut Vec<String>) {
    let name = format!("{scope}.{}", item.name());
    lines.push(format!("enum {name}"));
    for value in &item.value {
        lines.push(format!("value {name}.{} = {}", value.name(), value.number()));
    }
}

fn service_lines(service: &ServiceDescriptorProto, lines: &mut Vec<String>) {
    let name = format!("{PACKAGE}.{}", service.name());
    lines.push(format!("service {name}"));
    for method in &service.method {
        let stream = |streams: bool| if streams { "stream " } else { "" };
        lines.push(format!(
            "rpc {name}/{} ({}{}) returns ({}{})",
            method.name(),
            stream(method.client_streaming()),
            short(method.input_type()),
            stream(method.server_streaming()),
            short(method.output_type()),
        ));
    }
}

fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for file in files().file.iter().filter(|file| file.package() == PACKAGE) {
        file.service
            .iter()
            .for_each(|service| service_lines(service, &mut lines));
        file.message_type
            .iter()
            .for_each(|message| message_lines(PACKAGE, message, &mut lines));
        file.enum_type
            .iter()
            .for_each(|item| enum_lines(PACKAGE, item, &mut lines));
    }
    lines
}

#[test]
fn the_grpc_contract_only_grows() {
    let golden = path("descriptor.txt");
    let known = fs::read_to_string(&golden).unwrap_or_default();
    let before: BTreeSet<&str> = known.lines().collect();
    let lines = lines();
    let now: BTreeSet<&str> = lines.iter().map(String::as_str).collect();
    let gone: Vec<_> = before
        .difference(&now)
        .map(|line| format!("- {line}\n"))
        .collect();
    let come: Vec<_> = now
        .difference(&before)
        .map(|line| format!("+ {line}\n"))
        .collect();
    assert!(
        gone.is_empty(),
        "this breaks clients:\n{}{}give a changed field a new number and reserve the old one; to break clients on \
         purpose, remove {} and bless",
        gone.concat(),
        come.concat(),
        golden.display(),
    );
    if is_blessed() && !come.is_empty() {
        fs::write(&golden, lines.join("\n") + "\n").unwrap();
        return;
    }
    assert!(
        come.is_empty(),
        "new in the contract, and not blessed (MUSTER_BLESS=1):\n{}",
        come.concat()
    );
}

#[test]
fn every_method_has_messages_of_its_own() {
    // A message that two methods take cannot grow for one of them. (A resource may well be the answer of several.)
    let mut taken = BTreeSet::new();
    for line in lines().iter().filter(|line| line.starts_with("rpc ")) {
        let request = line
            .split(['(', ')'])
            .nth(1)
            .unwrap()
            .trim_start_matches("stream ");
        assert!(taken.insert(request.to_owned()), "{line}");
    }
    assert!(taken.len() > 20);
}

/// Checks a message in the JSON form of protobuf, as grpcurl prints and takes it: only fields that are there, each with
/// a value of its type.
pub(crate) fn check_json(message: &str, value: &Value) {
    let mut messages = Vec::new();
    let mut enums = Vec::new();
    for file in files().file {
        let scope = file.package().to_owned();
        enums.extend(
            file.enum_type
                .into_iter()
                .map(|item| (format!("{scope}.{}", item.name()), item)),
        );
        let mut open: Vec<_> = file
            .message_type
            .into_iter()
            .map(|item| (scope.clone(), item))
            .collect();
        while let Some((scope, item)) = open.pop() {
            let name = format!("{scope}.{}", item.name());
            open.extend(
                item.nested_type
                    .iter()
                    .map(|nested| (name.clone(), nested.clone())),
            );
            enums.extend(
                item.enum_type
                    .iter()
                    .map(|nested| (format!("{name}.{}", nested.name()), nested.clone())),
            );
            messages.push((name, item));
        }
    }
    Book { messages, enums }.message(message, value);
}

struct Book {
    messages: Vec<(String, DescriptorProto)>,
    enums: Vec<(String, EnumDescriptorProto)>,
}

impl Book {
    fn message(&self, name: &str, value: &Value) {
        if name == "google.protobuf.Timestamp" {
            assert!(
                value.as_str().is_some_and(|time| time.ends_with('Z')),
                "{value} is no time"
            );
            return;
        }
        let found = self.messages.iter().find(|(known, _)| known == name);
        let (_, message) = found.unwrap_or_else(|| panic!("there is no message {name}"));
        for (key, value) in value
            .as_object()
            .unwrap_or_else(|| panic!("{name} is no object: {value}"))
        {
            let field = message.field.iter().find(|field| field.json_name() == key);
            let field = field.unwrap_or_else(|| panic!("{name} has no field {key}"));
            let entry = self
                .messages
                .iter()
                .find(|(known, item)| is_map_entry(item) && known == short(field.type_name()));
            match (entry, field.label()) {
                (Some((_, entry)), _) => {
                    for value in value.as_object().unwrap().values() {
                        self.one(&entry.field[1], value);
                    }
                }
                (None, Label::Repeated) => {
                    value
                        .as_array()
                        .unwrap()
                        .iter()
                        .for_each(|item| self.one(field, item));
                }
                (None, _) => self.one(field, value),
            }
        }
    }

    fn one(&self, field: &FieldDescriptorProto, value: &Value) {
        let name = short(field.type_name());
        let fits = match field.r#type() {
            Type::Message => {
                self.message(name, value);
                true
            }
            Type::Enum => {
                let (_, item) = self.enums.iter().find(|(known, _)| known == name).unwrap();
                item.value
                    .iter()
                    .any(|known| Some(known.name()) == value.as_str())
            }
            // 64-bit numbers are strings, since JavaScript has no such numbers.
            Type::Uint64 => value.as_str().is_some_and(|text| text.parse::<u64>().is_ok()),
            Type::Int32 | Type::Uint32 => value.is_u64(),
            Type::Double => value.is_number(),
            Type::Bool => value.is_boolean(),
            Type::String => value.is_string(),
            Type::Bytes => {
                use base64::{Engine as _, engine::general_purpose::STANDARD};
                value.as_str().is_some_and(|text| STANDARD.decode(text).is_ok())
            }
            other => panic!("{other:?} is not used so far"),
        };
        assert!(fits, "{} cannot be {value}", field.name());
    }
}
