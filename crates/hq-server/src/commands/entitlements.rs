//! `leasehold entitlements`: everything that a tenant may have.

use crate::context::{Context, World};
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::trust::Published;
use crate::words;
use leasehold::model::Action;
use leasehold::{Entitlements, FeatureKey, PinnedTenant};

pub(crate) const EXAMPLES: &str = "\
With --json it prints exactly the entitlement object.

Examples:
  leasehold entitlements om-muscat-sparkle -d examples/cleanmatex
  leasehold entitlements om-muscat-sparkle -d examples/cleanmatex --json | jq .max_users";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The tenant's id
    tenant: String,
    #[command(flatten)]
    published: Published,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let world = context.world(&options.published)?;
    let tenant = world.tenant(&options.tenant)?;
    let entitlements = tenant.entitlements(context.now);
    if context.json() {
        return Report::json(&entitlements, Exit::Yes);
    }

    let page = Page { world: &world, style: context.style };
    let mut text = page.head(tenant, &entitlements, context);
    text.push_str(&page.switches("Modules", &entitlements.modules));
    text.push_str(&page.switches("Add-ons that are on", &entitlements.add_ons));
    let listed = |key: &&FeatureKey| entitlements.modules.contains(key) || entitlements.add_ons.contains(key);
    let others: Vec<FeatureKey> = entitlements.features.iter().filter(|key| !listed(key)).cloned().collect();
    text.push_str(&page.switches("Other switches", &others));
    text.push_str(&page.limits(tenant, &entitlements, context)?);
    text.push_str(&page.values(&entitlements));
    text.push_str(&page.licences(&entitlements));
    Ok(Report::text(text, Exit::Yes))
}

struct Page<'w> {
    world: &'w World,
    style: Style,
}

impl Page<'_> {
    fn head(&self, tenant: PinnedTenant<'_>, entitlements: &Entitlements, context: &Context) -> String {
        let definitions = &self.world.definitions;
        let style = self.style;
        let mut text = format!("{}\n", style.paint(Tone::Strong, tenant.id()));
        let mut lines = Grid::new(style, &[]);
        if let Some(authored) = definitions.tenants.get(tenant.id()) {
            let names = format!("{} / {}", words::printable(&authored.name), words::printable(&authored.name2));
            lines.row(["name".to_owned(), names]);
            lines.row(["region", authored.region.as_str()]);
        }
        lines.row(["at".to_owned(), context.now.to_string()]);
        let plan = entitlements.plan.as_ref().map_or_else(
            || "none: defaults and overrides apply".to_owned(),
            |key| {
                let name = definitions.plans.get(key).map(|plan| words::printable(&plan.name)).unwrap_or_default();
                format!("{key} ({name})")
            },
        );
        lines.row(["plan".to_owned(), plan]);
        let status = entitlements.status;
        lines.toned([(Tone::Plain, "status"), (words::status(status), status.as_str())]);
        lines.row(["access", words::access(entitlements.access)]);
        if let Some(snapshot) = self.world.described(context.now) {
            lines.row(["snapshot".to_owned(), snapshot]);
        }
        text.push_str(&lines.render(&[]));
        text
    }

    fn heading(&self, title: &str, count: usize) -> String {
        format!("\n{} ({count})\n", self.style.paint(Tone::Strong, title))
    }

    fn switches(&self, title: &str, keys: &[FeatureKey]) -> String {
        let mut text = self.heading(title, keys.len());
        let mut grid = Grid::new(self.style, &[]);
        for key in keys {
            let (name, name2) = words::names(&self.world.definitions, key.as_str());
            grid.row([key.to_string(), name, name2]);
        }
        text.push_str(&grid.render(&[]));
        text
    }

    fn limits(
        &self,
        tenant: PinnedTenant<'_>,
        entitlements: &Entitlements,
        context: &Context,
    ) -> Result<String, Failure> {
        let mut text = self.heading("Limits", entitlements.limits.len());
        let mut grid = Grid::new(self.style, &["LIMIT", "AMOUNT", "UNIT", "BEYOND", "RESETS AT"]);
        for (key, amount) in &entitlements.limits {
            let answer = tenant.check_limit(key, 0, 0, context.now)?;
            // An amount of 0 may be on, with more to be had beyond it.
            let is_off = !tenant.decide(key, Action::Use, context.now)?.enabled;
            let tone = if is_off { Tone::Faint } else { Tone::Plain };
            let beyond = if is_off || amount.is_none() { "" } else { words::beyond_in_short(answer.mode) };
            let cells = [
                key.to_string(),
                words::amount(*amount),
                words::unit(&self.world.definitions, key.as_str()).unwrap_or_default(),
                beyond.to_owned(),
                answer.resets_at.map(|at| at.to_string()).unwrap_or_default(),
            ];
            grid.toned(cells.map(|cell| (tone, cell)));
        }
        text.push_str(&grid.render(&[1]));
        Ok(text)
    }

    fn values(&self, entitlements: &Entitlements) -> String {
        let mut text = self.heading("Values", entitlements.values.len());
        let mut grid = Grid::new(self.style, &[]);
        for (key, value) in &entitlements.values {
            let tone = if value.is_none() { Tone::Faint } else { Tone::Plain };
            grid.toned([(tone, key.to_string()), (tone, words::value(value.as_deref()))]);
        }
        text.push_str(&grid.render(&[]));
        text
    }

    fn licences(&self, entitlements: &Entitlements) -> String {
        let mut text = self.heading("Licences", entitlements.licences.len());
        let mut grid = Grid::new(self.style, &["ADD-ON", "QUANTITY", "NAME"]);
        for licence in &entitlements.licences {
            let add_on = self.world.definitions.add_ons.get(&licence.key);
            let name = add_on.map(|add_on| words::printable(&add_on.name)).unwrap_or_default();
            grid.row([licence.key.to_string(), words::number(licence.quantity), name]);
        }
        if !grid.is_empty() {
            text.push_str(&grid.render(&[1]));
        }
        text
    }
}
