//! STUB
#![allow(missing_docs, missing_debug_implementations, dead_code, unreachable_pub)]
use super::BlockerCode;
use crate::VariableName;
use crate::model::{DiagnosticCode, VariableType};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
#[derive(Debug, Clone, Copy)]
pub enum Input<'c> {
    Bool(bool),
    Integer(i64),
    String(&'c str),
    Strings(&'c [&'c str]),
    Other(&'static str),
}
#[derive(Debug)]
pub(crate) struct CheckedGuard;
#[derive(Debug)]
pub(crate) struct BoundGuard;
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Truth {
    Always,
    Never,
    Depends,
}
pub(crate) struct Mistake {
    pub(crate) code: DiagnosticCode,
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) hint: String,
}
pub(crate) struct GuardFault {
    pub(crate) code: BlockerCode,
    pub(crate) expected: String,
    pub(crate) actual: Map<String, Value>,
}
pub(crate) fn compile(
    _: &str,
    _: &BTreeMap<VariableName, VariableType>,
    _: &BTreeMap<VariableName, VariableType>,
) -> Result<CheckedGuard, Vec<Mistake>> {
    Ok(CheckedGuard)
}
impl CheckedGuard {
    pub(crate) fn needs_rhai(&self) -> bool {
        false
    }
    pub(crate) fn bind<'v>(&self, _: impl Fn(&VariableName) -> Option<&'v Value>) -> BoundGuard {
        BoundGuard
    }
}
impl BoundGuard {
    pub(crate) fn inputs(&self) -> &[(VariableName, VariableType)] {
        &[]
    }
    pub(crate) fn truth(&self) -> Truth {
        Truth::Depends
    }
    pub(crate) fn needs_rhai(&self) -> bool {
        false
    }
    pub(crate) fn holds(&self, _: &[(&str, Input<'_>)]) -> bool {
        true
    }
    pub(crate) fn examine(&self, _: &[(&str, Input<'_>)]) -> Vec<GuardFault> {
        vec![]
    }
}
impl std::fmt::Display for BoundGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stub")
    }
}

impl BoundGuard {
    pub(crate) fn example(&self, _: bool) -> Option<BTreeMap<VariableName, Value>> {
        None
    }
}
