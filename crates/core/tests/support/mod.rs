//! A publisher in memory, as tests of what is published need one: keys from fixed seeds, definitions that change in every
//! way that they may, heads that remember what they stand for.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

pub(crate) mod fake_hq;
pub(crate) mod fake_s3;
pub(crate) mod web;

use leasehold::build::{Content, Signer, Terms, candidate_kills, definitions_hash};
use leasehold::generate::{Choices, instants, world};
use leasehold::model::{Action, Definitions, Kind};
use leasehold::wire::{Candidate, Certificate, Chunk, ChunkRef, Pack, Place, SecretKey, SignedHead, SliceKey, Trust};
use leasehold::{
    Decision, EngineId, Freshness, Hash, LimitAnswer, Region, Revision, Snapshot, Stamp, TenantId, Timestamp,
};
use proptest::prelude::{TestCaseError, any};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

/// What a case of a property comes to. Panics count as failures too.
pub(crate) type Held = Result<(), TestCaseError>;

/// Checks a property over so many inputs, always the same ones, each made of so many bytes at most. What fails is made as
/// small as a minute allows.
pub(crate) fn check(cases: u32, most_bytes: usize, property: impl Fn(&mut Choices<'_>) -> Held) {
    let (max_shrink_time, max_shrink_iters) = (60_000, u32::MAX - 1);
    let config = Config { cases, failure_persistence: None, max_shrink_time, max_shrink_iters, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let bytes = proptest::collection::vec(any::<u8>(), 0..most_bytes);
    match runner.run(&bytes, |bytes| property(&mut Choices::from_bytes(&bytes))) {
        Err(TestError::Fail(reason, bytes)) => panic!("{reason}\nwith {bytes:?}"),
        held => held.unwrap(),
    }
}

pub(crate) const STREAM: &str = "GCC-OM";
pub(crate) const DAY_MS: i64 = 86_400_000;
/// How long the publisher's heads are fresh.
pub(crate) const FRESH_MS: i64 = 3 * DAY_MS;

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub(crate) fn root() -> SecretKey {
    key(1)
}

pub(crate) fn stream() -> Region {
    STREAM.parse().unwrap()
}

pub(crate) fn revision(number: u64) -> Revision {
    Revision::new(number).unwrap()
}

pub(crate) fn after(at: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_ms(at.as_ms() + ms).unwrap()
}

/// When the publisher's first head is issued: on the grid of instants on which worlds live.
pub(crate) fn start() -> Timestamp {
    instants()[2]
}

/// What a root key says of a fleet key.
pub(crate) fn certificate(fleet: &SecretKey, epoch: u64) -> Certificate {
    Certificate {
        issuer: "hq.example".parse().unwrap(),
        environment: "production".parse().unwrap(),
        epoch,
        key: fleet.public(),
        valid_from: Timestamp::MIN,
        valid_until: None,
    }
}

/// Any text as a head behind a certificate, signed by the fleet key of these tests.
pub(crate) fn sign_text(text: &str, certificate: &[u8]) -> Vec<u8> {
    use ed25519_dalek::{Signer as _, SigningKey};
    let signature = SigningKey::from_bytes(&[2; 32]).sign(format!("leasehold-head/1\n{text}").as_bytes());
    let signature: String = signature.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let head = format!("leasehold-head/1 {} {signature}\n{text}\n", key(2).public().id());
    [certificate, head.as_bytes()].concat()
}

pub(crate) fn signer_for(fleet: SecretKey, certificate: &Certificate, root: &SecretKey) -> Signer {
    let document = certificate.sign(root).unwrap();
    Signer::new(fleet, document, vec![root.public()]).unwrap()
}

/// Whom the engines of these tests believe.
pub(crate) fn trust() -> Trust {
    signer_for(key(2), &certificate(&key(2), 1), &root()).trust(stream())
}

/// Tenant ids of which some share a shard, and some only a node.
pub(crate) fn tenant_ids() -> &'static [TenantId] {
    static IDS: OnceLock<Vec<TenantId>> = OnceLock::new();
    IDS.get_or_init(|| {
        let home = Place::of("tenant0");
        let named = |wanted: &dyn Fn(Place) -> bool, count: usize| -> Vec<TenantId> {
            let names = (0..).map(|n| format!("tenant{n}")).filter(|name| wanted(Place::of(name)));
            names.take(count).map(|name| name.parse().unwrap()).collect()
        };
        let mut ids = named(&|place| place == home, 3);
        ids.extend(named(&|place| place.node == home.node && place.shard != home.shard, 2));
        ids.extend(named(&|place| place.node != home.node, 3));
        ids
    })
}

/// A tenant as other worlds make them: it knows the features and plans by name.
fn some_tenant(choices: &mut Choices<'_>) -> leasehold::model::Tenant {
    world(choices).tenants.into_values().next().unwrap()
}

pub(crate) fn stamp(issued_at: Timestamp) -> Stamp {
    Stamp { revision: Revision::default(), issued_at, expires_at: None }
}

pub(crate) fn compiles(definitions: &Definitions) -> bool {
    Snapshot::compile(definitions, stamp(start())).is_ok()
}

/// A small world with tenants that share shards and nodes, which compiles.
pub(crate) fn first_definitions(choices: &mut Choices<'_>) -> Definitions {
    loop {
        let mut definitions = Definitions { tenants: BTreeMap::new(), ..world(choices) };
        for id in tenant_ids().iter().take(5) {
            let tenant = some_tenant(choices);
            definitions.tenants.insert(id.clone(), tenant);
            if !compiles(&definitions) {
                definitions.tenants.remove(id);
            }
        }
        if compiles(&definitions) {
            return definitions;
        }
    }
}

/// The same with other tenants: some changed, some gone, some new, one moved to another region.
pub(crate) fn other_tenants(choices: &mut Choices<'_>, base: &Definitions) -> Definitions {
    let mut next = base.clone();
    for _ in 0..1 + choices.below(3) {
        let id = choices.pick(tenant_ids()).unwrap();
        let before = next.tenants.get(id).cloned();
        match choices.below(10) {
            0..=1 => drop(next.tenants.remove(id)),
            2 => {
                if let Some(tenant) = next.tenants.get_mut(id) {
                    tenant.region = "EU-DE".parse().unwrap();
                }
            }
            _ => drop(next.tenants.insert(id.clone(), some_tenant(choices))),
        }
        if !compiles(&next) {
            next.tenants.remove(id);
            next.tenants.extend(before.map(|before| (id.clone(), before)));
        }
    }
    next
}

/// The same tenants under other features, plans, add-ons and kill switches.
pub(crate) fn other_rules(choices: &mut Choices<'_>, base: &Definitions) -> Definitions {
    let mut next = Definitions { tenants: base.tenants.clone(), ..world(choices) };
    // Tenants may name versions that these plans do not have.
    for plan in next.plans.values_mut() {
        plan.versions.retain(|number, _| *number == 1);
    }
    if compiles(&next) { next } else { base.clone() }
}

/// Definitions that are well-formed and wrong: a tenant is on a plan that is not there.
pub(crate) fn broken(choices: &mut Choices<'_>, base: &Definitions) -> Definitions {
    let mut next = base.clone();
    let id = choices.pick(tenant_ids()).unwrap();
    let mut tenant = some_tenant(choices);
    let phase = leasehold::model::Phase {
        kind: leasehold::model::PhaseKind::Paid,
        plan: "nowhere".parse().unwrap(),
        version: None,
        from: Timestamp::MIN,
        until: None,
        grace_until: None,
    };
    tenant.phases.insert("wrong".parse().unwrap(), phase);
    next.tenants.insert(id.clone(), tenant);
    next
}

/// What stands behind a revision.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) base: Definitions,
    pub(crate) candidate: Option<(Definitions, u16)>,
    pub(crate) content: Content,
    staged: Option<(Candidate, Content)>,
}

impl Said {
    /// Tenants of other regions are no part of what the stream says.
    pub(crate) fn new(base: &Definitions, candidate: Option<(&Definitions, u16)>) -> Self {
        let mut base = base.clone();
        let content = Content::of_stream(&base, &stream()).unwrap();
        base.tenants.retain(|_, tenant| tenant.region == stream());
        let candidate = candidate.map(|(candidate, share)| {
            let mut candidate = candidate.clone();
            candidate_kills(&base, &mut candidate);
            (Definitions { tenants: base.tenants.clone(), ..candidate }, share)
        });
        let staged = candidate.as_ref().map(|(candidate, share_permille)| {
            let content = Content::of_definitions(candidate).unwrap();
            (Candidate { definitions: content.root, share_permille: *share_permille }, content)
        });
        Self { base, candidate, content, staged }
    }

    pub(crate) fn staged(&self) -> Option<Candidate> {
        self.staged.as_ref().map(|(candidate, _)| candidate.clone())
    }

    fn chunks(&self) -> impl Iterator<Item = &(ChunkRef, Vec<u8>)> {
        let staged = self.staged.iter().flat_map(|(_, content)| &content.chunks);
        self.content.chunks.iter().chain(staged)
    }

    /// Everything that it names.
    pub(crate) fn names(&self) -> BTreeSet<Hash> {
        self.chunks().map(|(reference, _)| reference.hash).collect()
    }

    /// What an engine's answers say of themselves.
    pub(crate) fn says(&self, engine: Option<&EngineId>, confirmed: bool) -> Says {
        Says { definitions: definitions_hash(self.in_use(engine)).unwrap(), confirmed }
    }

    /// The definitions that an engine uses.
    pub(crate) fn in_use(&self, engine: Option<&EngineId>) -> &Definitions {
        match (&self.candidate, &self.staged, engine) {
            (Some((definitions, _)), Some((candidate, _)), Some(engine)) if candidate.includes(engine) => definitions,
            _ => &self.base,
        }
    }
}

/// Publishes one stream.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) now: Timestamp,
    pub(crate) signer: Signer,
    pub(crate) last: SignedHead,
    /// What the last revision says.
    pub(crate) said: Arc<Said>,
    /// Everything that was ever named.
    pub(crate) chunks: HashMap<Hash, (ChunkRef, Vec<u8>)>,
    /// What every revision of every epoch says, those of a thief included.
    pub(crate) revisions: BTreeMap<(u64, u64), Arc<Said>>,
    /// Every head that was ever signed, by its document's hash.
    pub(crate) heads: HashMap<Hash, SignedHead>,
    /// The documents of these heads, oldest first.
    pub(crate) documents: Vec<Arc<[u8]>>,
    pub(crate) slice_keys: Vec<SliceKey>,
    /// Somebody else signs with the fleet key.
    pub(crate) stolen: bool,
    next_key: u8,
}

impl Publisher {
    pub(crate) fn new(definitions: &Definitions) -> Self {
        let signer = signer_for(key(2), &certificate(&key(2), 1), &root());
        let said = Arc::new(Said::new(definitions, None));
        let now = start();
        let terms = Terms { issued_at: now, fresh_for_ms: FRESH_MS, slice_keys: Vec::new() };
        let last = signer.sign(&stream(), None, (revision(1), said.content.root, None), &terms).unwrap();
        let mut publisher = Self {
            now,
            signer,
            last: last.clone(),
            said: said.clone(),
            chunks: HashMap::new(),
            revisions: BTreeMap::new(),
            heads: HashMap::new(),
            documents: Vec::new(),
            slice_keys: Vec::new(),
            stolen: false,
            next_key: 10,
        };
        publisher.remember(last, said);
        publisher
    }

    fn remember(&mut self, head: SignedHead, said: Arc<Said>) {
        self.chunks.extend(said.chunks().map(|(reference, bytes)| (reference.hash, (*reference, bytes.clone()))));
        self.revisions.insert((head.head().epoch, head.head().revision.get()), said);
        self.documents.push(head.bytes().clone());
        self.heads.insert(Hash::of(head.bytes()), head);
    }

    fn sign(&mut self, number: u64, said: Arc<Said>) {
        let slice_keys = std::mem::take(&mut self.slice_keys);
        let terms = Terms { issued_at: self.now, fresh_for_ms: FRESH_MS, slice_keys };
        let content = (revision(number), said.content.root, said.staged());
        self.last = self.signer.sign(&stream(), Some(&self.last), content, &terms).unwrap();
        self.now = self.now.max(self.last.head().issued_at);
        self.said = said.clone();
        self.remember(self.last.clone(), said);
    }

    /// The next revision.
    pub(crate) fn publish(&mut self, said: Arc<Said>) {
        self.sign(self.last.head().revision.get() + 1, said);
    }

    pub(crate) fn publish_definitions(&mut self, definitions: &Definitions) {
        self.publish(Arc::new(Said::new(definitions, None)));
    }

    /// The same revision again.
    pub(crate) fn heartbeat(&mut self) {
        self.now = after(self.now, 1000);
        self.sign(self.last.head().revision.get(), self.said.clone());
    }

    /// Another fleet key, in the same epoch or the next.
    pub(crate) fn change_key(&mut self, epoch: u64) {
        let fleet = key(self.next_key);
        self.next_key += 1;
        self.signer = signer_for(fleet.clone(), &certificate(&fleet, epoch), &root());
        self.heartbeat();
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.signer.certificate().epoch
    }

    /// Whoever stole the fleet key signs a head of their own, of a high revision and a far instant.
    pub(crate) fn steal(&mut self, evil: &Definitions, ahead_ms: i64) -> Arc<[u8]> {
        let said = Arc::new(Said::new(evil, None));
        let issued_at = after(self.now, ahead_ms);
        let highest = self.revisions.keys().map(|(_, number)| *number).max().unwrap_or(0);
        let terms = Terms { issued_at, fresh_for_ms: FRESH_MS, slice_keys: Vec::new() };
        let content = (revision(highest + 500), said.content.root, None);
        let head = self.signer.sign(&stream(), None, content, &terms).unwrap();
        self.stolen = true;
        self.remember(head.clone(), said);
        head.bytes().clone()
    }

    /// The answer to a theft: a fleet key of the next epoch.
    pub(crate) fn end_epoch(&mut self) {
        self.stolen = false;
        self.change_key(self.epoch() + 1);
    }

    pub(crate) fn certify_slice_key(&mut self, seed: u8) {
        let until = after(self.now, SliceKey::LONGEST_MS);
        self.slice_keys.push(SliceKey { key: key(seed).public(), valid_from: self.now, valid_until: until });
    }

    /// A head by its document, if it was ever signed.
    pub(crate) fn head_of(&self, document: &[u8]) -> Option<&SignedHead> {
        self.heads.get(&Hash::of(document))
    }

    pub(crate) fn said_at(&self, head: &SignedHead) -> &Arc<Said> {
        &self.revisions[&(head.head().epoch, head.head().revision.get())]
    }

    /// The last head and everything that it names, as it is.
    pub(crate) fn pack(&self) -> Pack {
        let chunk = |hash: Hash| (hash, Chunk::raw(self.chunks[&hash].1.clone()));
        Pack { head: self.last.bytes().to_vec(), chunks: self.said.names().into_iter().map(chunk).collect() }
    }
}

/// Instants at which answers are compared: that of the head, just before it, its end, and long after.
pub(crate) fn some_instants(issued_at: Timestamp) -> Vec<Timestamp> {
    let mut some: Vec<Timestamp> = [0, -1, FRESH_MS, 20 * DAY_MS].map(|ms| after(issued_at, ms)).into();
    some.push(Timestamp::MAX);
    some
}

/// What a snapshot's answers say of themselves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Says {
    /// The definitions that they come from.
    pub(crate) definitions: Hash,
    /// Whether a source has said that nothing is newer.
    pub(crate) confirmed: bool,
}

/// Refuses a snapshot that says anything but what the definitions say when they are compiled at once.
pub(crate) fn assert_says(ours: &Snapshot, definitions: &Definitions, says: Says, instants: &[Timestamp]) {
    let theirs = Snapshot::compile(definitions, ours.stamp()).unwrap();
    let ids = |snapshot: &Snapshot| -> BTreeSet<String> { snapshot.tenants().map(|it| it.id().to_owned()).collect() };
    assert_eq!(ids(ours), ids(&theirs));
    let features: Vec<(&str, Kind)> = theirs.features().map(|(key, kind)| (key.as_str(), kind)).collect();
    assert_eq!(ours.features().count(), features.len());
    let (Says { definitions, confirmed }, expires_at) = (says, ours.stamp().expires_at);
    for theirs in theirs.tenants() {
        let ours = ours.tenant(theirs.id()).unwrap();
        for now in instants.iter().copied() {
            let expired = expires_at.is_some_and(|expires_at| now >= expires_at);
            let freshness = match confirmed {
                _ if expired => Freshness::Stale,
                true => Freshness::Fresh,
                false => Freshness::Fallback,
            };
            assert_eq!(ours.entitlements(now), theirs.entitlements(now), "{} at {now}", theirs.id());
            for (feature, kind) in &features {
                for action in [Action::Use, Action::Read] {
                    let decision = theirs.decide(*feature, action, now).unwrap();
                    let expected = Decision { definitions, freshness, ..decision };
                    assert_eq!(ours.decide(*feature, action, now), Ok(expected), "{feature} at {now}");
                }
                if *kind == Kind::Limit {
                    let answer = theirs.check_limit(*feature, 4, 2, now).unwrap();
                    let expected = LimitAnswer { definitions, freshness, ..answer };
                    assert_eq!(ours.check_limit(*feature, 4, 2, now), Ok(expected), "{feature} at {now}");
                }
            }
        }
    }
}
