//! The rules are checked over the descriptor set, with its source information, so that no tool
//! but cargo is needed.

use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use std::collections::{BTreeMap, BTreeSet};

// Field numbers in descriptor.proto, of which the paths of source locations are made.
const FILE_PACKAGE: i32 = 2;
const FILE_MESSAGE: i32 = 4;
const FILE_ENUM: i32 = 5;
const FILE_SERVICE: i32 = 6;
const MESSAGE_FIELD: i32 = 2;
const MESSAGE_NESTED: i32 = 3;
const MESSAGE_ENUM: i32 = 4;
const MESSAGE_ONEOF: i32 = 8;
const ENUM_VALUE: i32 = 2;
const SERVICE_METHOD: i32 = 2;

fn files() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(axs_proto::FILE_DESCRIPTOR_SET).unwrap();
    assert!(!set.file.is_empty());
    set.file
}

fn index(position: usize) -> i32 {
    i32::try_from(position).unwrap()
}

fn path(parent: &[i32], field: i32, position: usize) -> Vec<i32> {
    let mut path = parent.to_vec();
    path.extend([field, index(position)]);
    path
}

/// Every message of the file with its source path, nested ones too.
fn messages(file: &FileDescriptorProto) -> Vec<(Vec<i32>, &DescriptorProto)> {
    let mut found = Vec::new();
    let mut waiting: Vec<_> = (0..)
        .zip(&file.message_type)
        .map(|(i, m)| (vec![FILE_MESSAGE, i], m))
        .collect();
    while let Some((at, message)) = waiting.pop() {
        for (i, nested) in message.nested_type.iter().enumerate() {
            waiting.push((path(&at, MESSAGE_NESTED, i), nested));
        }
        found.push((at, message));
    }
    found
}

/// Every enum of the file with its source path, nested ones too.
fn enums(file: &FileDescriptorProto) -> Vec<(Vec<i32>, &EnumDescriptorProto)> {
    let mut found: Vec<_> = (0..)
        .zip(&file.enum_type)
        .map(|(i, e)| (vec![FILE_ENUM, i], e))
        .collect();
    for (at, message) in messages(file) {
        for (i, nested) in message.enum_type.iter().enumerate() {
            found.push((path(&at, MESSAGE_ENUM, i), nested));
        }
    }
    found
}

fn is_pascal(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn is_lower_snake(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_upper_snake(name: &str) -> bool {
    is_lower_snake(&name.to_ascii_lowercase()) && !name.contains(|c: char| c.is_ascii_lowercase())
}

fn upper_snake(pascal: &str) -> String {
    let mut out = String::new();
    for (i, c) in pascal.char_indices() {
        if i > 0 && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

#[test]
fn every_file_lies_in_the_folder_of_its_versioned_package_and_says_its_syntax() {
    for file in files() {
        let (folder, name) = file.name().rsplit_once('/').unwrap();
        assert_eq!(file.package().replace('.', "/"), folder, "{}", file.name());
        assert!(
            is_lower_snake(name.strip_suffix(".proto").unwrap()),
            "{name}"
        );
        assert!(file.package().split('.').all(is_lower_snake));
        let version = file.package().rsplit('.').next().unwrap();
        let digits = version.strip_prefix('v').unwrap_or_default();
        assert!(digits.parse::<u32>().is_ok_and(|v| v > 0), "{version}");
        assert_eq!(file.syntax(), "proto3", "{}", file.name());
    }
}

#[test]
fn every_import_is_used_and_none_is_public_or_weak() {
    let files = files();
    let mut home = BTreeMap::new();
    for file in &files {
        for message in &file.message_type {
            home.insert(
                format!(".{}.{}", file.package(), message.name()),
                file.name(),
            );
        }
        for enumeration in &file.enum_type {
            home.insert(
                format!(".{}.{}", file.package(), enumeration.name()),
                file.name(),
            );
        }
    }
    for file in &files {
        assert!(file.public_dependency.is_empty(), "{}", file.name());
        assert!(file.weak_dependency.is_empty(), "{}", file.name());
        let fields = messages(file)
            .into_iter()
            .flat_map(|(_, message)| message.field.iter())
            .filter_map(|field| field.type_name.as_ref());
        let methods = file
            .service
            .iter()
            .flat_map(|service| &service.method)
            .flat_map(|method| [&method.input_type, &method.output_type])
            .flatten();
        let used: BTreeSet<&str> = fields
            .chain(methods)
            .filter_map(|name| home.get(name).copied())
            .collect();
        for import in &file.dependency {
            assert!(
                used.contains(import.as_str()),
                "{} of {}",
                import,
                file.name()
            );
        }
    }
}

#[test]
fn messages_are_pascal_case_and_fields_and_oneofs_lower_snake_case() {
    for file in files() {
        for (_, message) in messages(&file) {
            assert!(is_pascal(message.name()), "{}", message.name());
            for field in &message.field {
                assert!(is_lower_snake(field.name()), "{}", field.name());
                assert_ne!(field.r#type(), Type::Group, "{}", field.name());
            }
            for oneof in &message.oneof_decl {
                assert!(is_lower_snake(oneof.name()), "{}", oneof.name());
            }
        }
    }
}

#[test]
fn every_enum_begins_with_its_unspecified_zero_and_prefixes_its_values() {
    for file in files() {
        for (_, enumeration) in enums(&file) {
            let name = enumeration.name();
            assert!(is_pascal(name), "{name}");
            let prefix = format!("{}_", upper_snake(name));
            let zero = enumeration.value.first().unwrap();
            assert_eq!(zero.number(), 0, "{name}");
            assert_eq!(zero.name(), format!("{prefix}UNSPECIFIED"));
            for value in &enumeration.value {
                assert!(is_upper_snake(value.name()), "{}", value.name());
                assert!(value.name().starts_with(&prefix), "{}", value.name());
            }
            let alias = enumeration
                .options
                .as_ref()
                .is_some_and(|o| o.allow_alias());
            assert!(!alias, "{name}");
        }
    }
}

#[test]
fn every_service_has_its_suffix_and_every_call_its_own_request_and_response() {
    let mut taken = BTreeSet::new();
    for file in files() {
        for service in &file.service {
            assert!(is_pascal(service.name()), "{}", service.name());
            assert!(service.name().ends_with("Service"), "{}", service.name());
            for method in &service.method {
                let name = method.name();
                assert!(is_pascal(name), "{name}");
                let package = file.package();
                assert_eq!(method.input_type(), format!(".{package}.{name}Request"));
                assert_eq!(method.output_type(), format!(".{package}.{name}Response"));
                assert!(taken.insert(method.input_type().to_owned()), "{name}");
                assert!(taken.insert(method.output_type().to_owned()), "{name}");
            }
        }
    }
    assert!(!taken.is_empty());
}

#[test]
fn every_element_of_the_contract_has_a_leading_comment() {
    let mut elements = 0;
    for file in files() {
        let source = file.source_code_info.clone().unwrap();
        let documented: BTreeSet<Vec<i32>> = source
            .location
            .iter()
            .filter(|at| !at.leading_comments().trim().is_empty())
            .map(|at| at.path.clone())
            .collect();
        let mut check = |at: Vec<i32>, name: &str| {
            elements += 1;
            assert!(documented.contains(&at), "{name} of {}", file.name());
        };
        for (at, message) in messages(&file) {
            for (i, field) in message.field.iter().enumerate() {
                let name = format!("{}.{}", message.name(), field.name());
                check(path(&at, MESSAGE_FIELD, i), &name);
            }
            for (i, oneof) in message.oneof_decl.iter().enumerate() {
                let name = format!("{}.{}", message.name(), oneof.name());
                check(path(&at, MESSAGE_ONEOF, i), &name);
            }
            check(at, message.name());
        }
        for (at, enumeration) in enums(&file) {
            for (i, value) in enumeration.value.iter().enumerate() {
                check(path(&at, ENUM_VALUE, i), value.name());
            }
            check(at, enumeration.name());
        }
        for (s, service) in file.service.iter().enumerate() {
            let at = vec![FILE_SERVICE, index(s)];
            for (i, method) in service.method.iter().enumerate() {
                check(path(&at, SERVICE_METHOD, i), method.name());
            }
            check(at, service.name());
        }
    }
    assert!(elements > 100, "only {elements} elements were seen");
}

#[test]
fn the_package_itself_is_documented_once() {
    let documented = files()
        .into_iter()
        .filter(|file| {
            file.source_code_info.as_ref().is_some_and(|source| {
                source
                    .location
                    .iter()
                    .any(|at| at.path == [FILE_PACKAGE] && !at.leading_comments().is_empty())
            })
        })
        .count();
    assert_eq!(documented, 1);
}
