//! The layer rule, read from the manifests; names that say nothing and comments that are too wide,
//! found in the tree.

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Of the workspace's own crates, each may know these and no others.
const OURS: &[(&str, &[&str])] = &[
    ("axs-domain", &[]),
    ("axs-proto", &[]),
    // An outside program links it: nothing of the product behind the contract.
    ("axs-client", &["axs-proto"]),
    ("axs-application", &["axs-domain"]),
    // What adapters on both sides share of their client library: no port, no use case.
    ("axs-kafka", &["axs-domain"]),
    (
        "axs-infrastructure",
        &["axs-application", "axs-domain", "axs-kafka", "axs-proto"],
    ),
    (
        "axs-interfaces",
        &["axs-application", "axs-domain", "axs-kafka", "axs-proto"],
    ),
    (
        "bootstrap",
        &[
            "axs-application",
            "axs-domain",
            "axs-infrastructure",
            "axs-interfaces",
            "axs-kafka",
        ],
    ),
];

/// What the domain may list from outside.
const DOMAIN_MAY_LIST: &[&str] = &["sha2", "thiserror", "uuid"];

/// Runtimes, frameworks and clients: never below the domain, however far down.
const NEVER_IN_DOMAIN: &[&str] = &[
    "async-trait",
    "axum",
    "config",
    "futures",
    "prost",
    "rdkafka",
    "redis",
    "sea-orm",
    "serde",
    "shaku",
    "sqlx",
    "tokio",
    "tonic",
    "tracing",
];

/// Clients and servers: never listed by the application.
const NEVER_IN_APPLICATION: &[&str] = &[
    "axum",
    "bb8",
    "bb8-redis",
    "clap",
    "config",
    "prost",
    "rdkafka",
    "redis",
    "sea-orm",
    "sqlx",
    "tonic",
    "tower",
];

/// Words that a module name must not hold.
const EMPTY_WORDS: &[&str] = &[
    "base", "common", "data", "helper", "helpers", "impl", "info", "manager", "misc", "util",
    "utils",
];

const CRATES: &[&str] = &[
    "application",
    "bench",
    "bootstrap",
    "client",
    "domain",
    "infrastructure",
    "interfaces",
    "kafka",
    "proto",
    "tests",
];

/// The width of a comment line, as of a line of code.
const COMMENT_COLUMNS: usize = 100;

fn checkout() -> &'static Path {
    axs_tests::binary::checkout()
}

fn metadata() -> Result<Metadata> {
    let metadata = MetadataCommand::new()
        .manifest_path(checkout().join("Cargo.toml"))
        .other_options(["--locked".to_owned()])
        .exec()?;
    Ok(metadata)
}

/// What each package of the workspace lists for its product, without tests and build scripts.
fn listed(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| {
            let names = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind == DependencyKind::Normal)
                .map(|dependency| dependency.name.clone());
            (package.name.to_string(), names.collect())
        })
        .collect()
}

#[test]
fn dependencies_point_inward_only() -> Result<()> {
    let listed = listed(&metadata()?);
    let ours: BTreeSet<&str> = OURS.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in OURS {
        let known: BTreeSet<&str> = listed[*name]
            .iter()
            .map(String::as_str)
            .filter(|it| ours.contains(it))
            .collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        let outward: Vec<_> = known.difference(&allowed).collect();
        assert!(outward.is_empty(), "{name} lists {outward:?}");
    }
    let packages: BTreeSet<&str> = listed.keys().map(String::as_str).collect();
    let expected: BTreeSet<&str> = ours
        .iter()
        .copied()
        .chain(["axs-bench", "axs-tests"])
        .collect();
    assert_eq!(packages, expected, "a new crate needs a line in this test");
    Ok(())
}

#[test]
fn the_domain_lists_next_to_nothing_and_reaches_no_framework() -> Result<()> {
    let metadata = metadata()?;
    for name in &listed(&metadata)["axs-domain"] {
        assert!(
            DOMAIN_MAY_LIST.contains(&name.as_str()),
            "axs-domain lists {name}"
        );
    }
    let reached = reached_by(&metadata, "axs-domain")?;
    for name in NEVER_IN_DOMAIN {
        assert!(!reached.contains(*name), "axs-domain reaches {name}");
    }
    Ok(())
}

#[test]
fn the_application_lists_no_client_and_no_server() -> Result<()> {
    let listed = listed(&metadata()?);
    for name in NEVER_IN_APPLICATION {
        assert!(
            !listed["axs-application"].contains(*name),
            "axs-application lists {name}"
        );
    }
    Ok(())
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() -> Result<()> {
    for name in CRATES {
        let manifest = fs::read_to_string(checkout().join(name).join("Cargo.toml"))?;
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name}");
    }
    Ok(())
}

#[test]
fn the_harness_the_model_and_the_tests_know_no_crate_of_the_product_but_the_contract() -> Result<()>
{
    let product = [
        "axs_domain",
        "axs_application",
        "axs_infrastructure",
        "axs_interfaces",
    ];
    let mut seen = 0;
    for folder in ["tests/src", "tests/tests/black_box"] {
        for file in rust_files(&checkout().join(folder))? {
            let text = fs::read_to_string(&file)?;
            for name in product {
                assert!(!text.contains(name), "{} names {name}", file.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} files are not the harness");
    Ok(())
}

#[test]
fn no_module_is_named_by_a_word_that_says_nothing() -> Result<()> {
    for name in CRATES {
        let root = checkout().join(name);
        for file in rust_files(&root)? {
            let inside = file.strip_prefix(&root)?.with_extension("");
            for part in inside.iter().filter_map(|part| part.to_str()) {
                let empty = part.split('_').find(|word| EMPTY_WORDS.contains(word));
                assert_eq!(empty, None, "{}", file.display());
            }
        }
    }
    Ok(())
}

#[test]
fn no_comment_line_is_too_wide() -> Result<()> {
    let mut found = Vec::new();
    for name in CRATES {
        for file in rust_files(&checkout().join(name))? {
            let inside = file.strip_prefix(checkout())?.display();
            for line in overlong_comments(&fs::read_to_string(&file)?) {
                found.push(format!("{inside}:{line}"));
            }
        }
    }
    assert!(
        found.is_empty(),
        "over {COMMENT_COLUMNS} columns:\n{}",
        found.join("\n")
    );
    Ok(())
}

/// The numbers of the comment lines that are too wide and could be wrapped: no rows of tables, no
/// blocks of code, no addresses, no single words.
fn overlong_comments(text: &str) -> Vec<usize> {
    let mut overlong = Vec::new();
    let mut in_code = false;
    for (line, number) in text.lines().zip(1..) {
        let Some(slashes) = line.trim_start().strip_prefix("//") else {
            in_code = false;
            continue;
        };
        let comment = slashes.trim_start_matches(['/', '!']).trim();
        if comment.starts_with("```") {
            in_code = !in_code;
        }
        let exempt = in_code
            || comment.starts_with('|')
            || comment.contains("://")
            || !comment.contains(' ');
        if !exempt && line.chars().count() > COMMENT_COLUMNS {
            overlong.push(number);
        }
    }
    overlong
}

/// Everything that a package's product is linked with, names only.
fn reached_by(metadata: &Metadata, name: &str) -> Result<BTreeSet<String>> {
    let resolve = metadata.resolve.as_ref().context("no resolve")?;
    let package = |id: &PackageId| metadata[id].name.to_string();
    let root = metadata
        .workspace_packages()
        .into_iter()
        .find(|it| it.name.as_str() == name);
    let mut waiting = vec![root.context("no such package")?.id.clone()];
    let mut reached = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        let node = resolve
            .nodes
            .iter()
            .find(|node| node.id == id)
            .context("a node")?;
        for dependency in &node.deps {
            let linked = dependency
                .dep_kinds
                .iter()
                .any(|it| it.kind == DependencyKind::Normal);
            if linked && reached.insert(package(&dependency.pkg)) {
                waiting.push(dependency.pkg.clone());
            }
        }
    }
    Ok(reached)
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}
