package import Logging
package import NIOCore
package import Replication
package import SkerryModel
package import SkerryNode

/// The box's part in its federation: drives the replication engine between the box's store, the links to other boxes and the features.
///
/// An actor whose executor is an event loop of its own, so that what comes from links, the writer's thread and timers is heard in its order
/// and none of it ever waits for a lock; signatures are checked there, away from the loops that serve people. Nothing here suspends in
/// the middle of a decision.
package actor FederationService {
    package nonisolated let loop: any EventLoop
    package nonisolated let unownedExecutor: UnownedSerialExecutor
    package nonisolated let node: Node
    package nonisolated let replica: ReplicaStore
    nonisolated let features: [any FederationFeature]
    nonisolated let limits: EngineLimits
    nonisolated let place: FederationPlace
    nonisolated let logger: Logger
    /// What `peers` and `federation` say, for callers on any thread.
    package nonisolated let view: FederationView

    var running: Running?
    /// What was appended while the heads were being loaded.
    var early: [CommittedRun] = []
    /// Whether the CA's signature on a row holds.
    var memberCheck: (@Sendable (MemberEntry) -> Bool)?
    /// Looks at the member list so far, and the latest of them whose result counts.
    private var memberLooks: UInt64 = 0
    private var memberLookTaken: UInt64 = 0
    /// How every peer stands, as the engine said last.
    var sync: [BoxID: PeerSync] = [:]
    var quarantine: QuarantineReason?
    var troubles = AlarmLog()
    private var asked: [UInt64: Asked] = [:]
    /// Questions of each box that are being answered.
    private var answering: [BoxID: Int] = [:]
    private var tidyPlace = LocalPlace()
    private var tidyDue: UInt64 = 0
    private var ticking: RepeatedTask?
    /// When the engine wants to be woken next, and what will do it.
    private var wakeAt: UInt64?
    private var waking: Scheduled<Void>?

    /// What there is while the box belongs to a federation.
    struct Running {
        var federation: FederationID
        var engine: ReplicationEngine
        var transport: any BridgeTransport
        var members: [BoxID: MemberEntry]
        var applying = ApplyQueue()
    }

    private struct Asked {
        var box: BoxID
        var deadline: UInt64
        var answer: CheckedContinuation<[UInt8]?, Never>
    }

    /// Questions to other boxes that wait for their answer; at the bound a new one has none.
    static let askedMax = 1_024
    /// Questions of one box that are answered at a time; at the bound the answer is empty.
    static let answeringMax = 16
    static let askMilliseconds: UInt64 = 10_000
    /// What a message takes beside its payload: topic, MQTT, TLS.
    static let carrierBytes = 96

    package init(
        node: Node, replica: ReplicaStore, features: [any FederationFeature], place: FederationPlace, limits: EngineLimits = EngineLimits(),
        loop: any EventLoop, logger: Logger
    ) {
        self.loop = loop
        self.unownedExecutor = loop.executor.asUnownedSerialExecutor()
        self.node = node
        self.replica = replica
        self.features = features
        self.limits = limits
        self.place = place
        self.logger = logger
        self.view = FederationView()
    }

    /// Runs `body` on the service, after everything entered before it.
    nonisolated func enter(_ body: @escaping @Sendable (isolated FederationService) -> Void) {
        self.loop.execute { self.assumeIsolated(body) }
    }

    // MARK: - Coming and going

    /// Starts what does not need a federation: the features, and the clock that drives everything.
    package func start() {
        for feature in self.features { feature.start(FederationPort(self)) }
        self.ticking = self.loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { [weak self] _ in
            self?.assumeIsolated { $0.tick() }
        }
    }

    /// Ends every link.
    package func stop() async {
        self.ticking?.cancel()
        for feature in self.features { feature.stop() }
        // What they said last comes by way of the loop, and goes out before the links end.
        await withCheckedContinuation { said in self.loop.execute { said.resume() } }
        self.waking?.cancel()
        await self.leave()
    }

    /// The box belongs to no federation, until it is told of another one.
    func leave() async {
        self.replica.listen(nil)
        for (_, asked) in self.asked { asked.answer.resume(returning: nil) }
        self.asked = [:]
        let transport = self.running?.transport
        self.running = nil
        self.early = []
        self.view.federation = nil
        for box in self.view.peers { for feature in self.features { feature.linkDown(box) } }
        self.view.peers = []
        self.view.members = [:]
        await transport?.stop()
    }

    /// Who belongs to the federation, whoever said so. Of two looks at the list under way, the one that began first does not undo the other.
    func reloadMembers() async {
        self.memberLooks += 1
        let look = self.memberLooks
        let members: [MemberEntry]
        do throws(SkerryError) {
            members = try await self.members()
        } catch {
            self.logger.error("the member list cannot be read", metadata: ["error": "\(error.detail)"])
            return
        }
        guard self.running != nil, look > self.memberLookTaken else { return }
        self.memberLookTaken = look
        let byBox = Dictionary(members.map { ($0.box, $0) }) { $0.version >= $1.version ? $0 : $1 }
        let before = self.running?.members ?? [:]
        self.running?.members = byBox
        self.view.members = byBox
        for (box, member) in byBox where member.standing == .removed && before[box]?.standing != .removed { self.place.removed(box) }
        for feature in self.features { feature.members(byBox) }
        self.step(.members(byBox.mapValues { EngineMember(standing: $0.standing, logKey: $0.logKey, cut: $0.cut) }))
        self.keepLinks()
        for (box, member) in byBox where member.standing == .removed { self.running?.transport.close(box, reason: "This box was removed from the federation.") }
    }

    /// Tells the transport whom to keep links to, and where they were heard of last.
    func keepLinks() {
        guard let running = self.running else { return }
        guard running.members[self.node.box]?.standing != .removed else { return running.transport.keep([]) }
        let peers = running.members.values.filter { $0.standing == .active && $0.box != self.node.box }.map { member in
            LinkPeer(box: member.box, publicKey: member.publicKey, endpoints: self.view.endpoints(of: member))
        }
        running.transport.keep(peers)
    }

    /// A member was heard of at these addresses.
    package nonisolated func hint(_ box: BoxID, _ endpoints: [String]) {
        guard self.view.hint(box, endpoints) else { return }
        self.enter { $0.keepLinks() }
        // Remembered, because after a restart nobody may be there to say it again; not every word of somebody who says something else each second.
        guard self.view.isKept(box, now: self.node.clock.monotonic()) else { return }
        let text = endpoints.prefix(MemberEntry.endpointsMax).map { String($0.prefix(MemberEntry.endpointBytesMax)) }.joined(separator: "\n")
        self.replica.persist(name: Self.hintName + box.description, Array(text.utf8))
    }

    static let hintName = "at."

    // MARK: - What comes in

    func hear(_ event: TransportEvent) {
        switch event {
        case .up(let box):
            self.view.peers.insert(box)
            self.logger.info("link", metadata: ["box": "\(self.name(of: box))", "state": "up"])
            self.step(.linkUp(box))
            for feature in self.features { feature.linkUp(box) }
        case .down(let box, let failure):
            self.view.peers.remove(box)
            self.logger.info("link", metadata: ["box": "\(self.name(of: box))", "state": "down", "reason": "\(failure)"])
            self.forgetAsked(of: box)
            self.step(.linkDown(box))
            for feature in self.features { feature.linkDown(box) }
        case .failed(let box, let failure):
            if self.troubles.isNew("failed \(box) \(failure)", now: self.node.clock.monotonic()) {
                self.logger.notice("no link", metadata: ["box": "\(self.name(of: box))", "reason": "\(failure)"])
            }
        case .received(let message, let box, let taken):
            self.receive(message, from: box)
            taken()
        case .acknowledged(let box, let bytes): self.step(.acknowledged(box, bytes: bytes))
        case .forged(let box, let claimed): self.note(.forgedOrigin(link: box, claimed: claimed ?? box))
        case .takenOver:
            self.step(.identityTaken)
        }
    }

    private func receive(_ message: LinkMessage, from box: BoxID) {
        self.node.metrics.add(.federationMessagesIn)
        self.node.metrics.add(.federationBytesIn, message.payload.count + Self.carrierBytes)
        switch message.channel {
        case .control, .message, .digest: self.step(.received(message, from: box))
        case .request, .response:
            guard let request = try? LinkRequest(decoding: message.payload) else { return self.note(.malformed(link: box, message.channel)) }
            switch request.known {
            case .hello, .range: self.step(.received(message, from: box))
            case let kind where message.channel == .request: self.answer(request, kind, from: box)
            default:
                guard self.asked[request.correlation]?.box == box else { return }
                self.asked.removeValue(forKey: request.correlation)?.answer.resume(returning: request.body)
            }
        case .state, .heartbeat, .lease, .blob, .ephemeral, .topic, .topicAcknowledged, .interest:
            for feature in self.features where feature.channels.contains(message.channel) { feature.received(message, from: box) }
        }
    }

    private func answer(_ request: LinkRequest, _ kind: RequestKind?, from box: BoxID) {
        guard let kind, let feature = self.features.first(where: { $0.requests.contains(kind) }), self.answering[box] ?? 0 < Self.answeringMax else {
            return self.respond(request, [], to: box)
        }
        self.answering[box, default: 0] += 1
        Task {
            defer { self.answering[box] = self.answering[box].flatMap { $0 > 1 ? $0 - 1 : nil } }
            let body = await feature.answer(kind, request.body, from: box)
            self.respond(request, body ?? [], to: box)
        }
    }

    private func respond(_ request: LinkRequest, _ body: [UInt8], to box: BoxID) {
        var response = request
        response.body = body
        self.send(.response, response.payload, to: box)
    }

    func ask(_ kind: RequestKind, _ body: [UInt8], of box: BoxID) async -> [UInt8]? {
        guard self.view.peers.contains(box), self.asked.count < Self.askedMax else { return nil }
        let correlation = self.node.random.next()
        return await withCheckedContinuation { continuation in
            let deadline = self.node.clock.monotonic() + Self.askMilliseconds
            self.asked[correlation] = Asked(box: box, deadline: deadline, answer: continuation)
            self.send(.request, LinkRequest(kind, correlation: correlation, body: body).payload, to: box)
        }
    }

    private func forgetAsked(of box: BoxID) {
        for (correlation, asked) in self.asked where asked.box == box {
            self.asked[correlation] = nil
            asked.answer.resume(returning: nil)
        }
    }

    /// A step of letting go of what is dead in the logs; at the end of all of them it begins again an hour later.
    private func tidy() async {
        guard self.running != nil else { return }
        do throws(SkerryError) {
            let outcome = try await self.replica.tidy(from: self.tidyPlace, policy: RetentionPolicy())
            self.tidyPlace = outcome.next ?? LocalPlace()
            if outcome.next == nil { self.tidyDue = self.node.clock.monotonic() + 3_600_000 }
            if !outcome.lowWater.isEmpty { self.step(.lowWater(outcome.lowWater)) }
        } catch {
            // The disk is full or busy: next time.
        }
    }

    private func tick() {
        let now = self.node.clock.monotonic()
        if now >= self.tidyDue {
            self.tidyDue = now + 60_000
            Task { await self.tidy() }
        }
        for (correlation, asked) in self.asked where asked.deadline <= now {
            self.asked[correlation] = nil
            asked.answer.resume(returning: nil)
        }
        self.step(.tick)
        self.countEngine()
        for feature in self.features { feature.tick(now: now) }
    }

    // MARK: - What goes out

    /// Under this box's origin, to one box or to every box with a live link.
    func send(_ channel: LinkChannel, _ payload: [UInt8], to box: BoxID?) {
        guard let running = self.running, payload.count <= LinkChannel.payloadBytesMax else { return }
        for peer in box.map({ [$0] }) ?? Array(self.view.peers) where self.view.peers.contains(peer) {
            self.node.metrics.add(.federationMessagesOut)
            self.node.metrics.add(.federationBytesOut, payload.count + Self.carrierBytes)
            running.transport.send(
                LinkMessage(origin: self.node.box, channel: channel, addressee: channel.isAddressed ? peer : nil, payload: payload), to: peer)
        }
    }

    // MARK: - The engine

    func step(_ event: EngineEvent) {
        let clock = self.node.clock
        let now = EngineInstant(monotonic: clock.monotonic(), physical: clock.wall(), isSynced: clock.isSynced())
        guard let effects = self.running?.engine.step(event, now: now) else {
            if case .appended(let run) = event { self.early.append(run.withoutEntries) }
            return
        }
        for effect in effects { self.perform(effect) }
        self.wakeInTime()
    }

    /// The engine's deadlines are finer than the tick.
    private func wakeInTime() {
        guard let deadline = self.running?.engine.deadline, deadline != self.wakeAt else { return }
        self.waking?.cancel()
        self.wakeAt = deadline
        let now = self.node.clock.monotonic()
        let wait = deadline > now ? min(deadline - now, 1_000) : 1
        self.waking = self.loop.scheduleTask(in: .milliseconds(Int64(wait))) { [weak self] in
            self?.assumeIsolated { service in
                service.wakeAt = nil
                service.step(.tick)
            }
        }
    }

    private func perform(_ effect: EngineEffect) {
        switch effect {
        case .send(let box, let channel, let payload): self.send(channel, payload, to: box)
        case .apply(let token, let batches, let milliseconds):
            self.running?.applying.add(token, batches)
            self.applySoon(within: milliseconds)
        case .readRange(let token, let log, let seq, let bytesMax):
            let federation = self.running?.federation
            self.replica.range(of: log, from: seq, bytesMax: bytesMax) { answer in
                // The engine of another federation counts its tokens from the beginning too.
                self.enter { if $0.running?.federation == federation { $0.step(.rangeRead(token, answer)) } }
            }
        case .persist(let name, let value): self.replica.persist(name: name, value)
        case .replicated(let log, let seq): self.replica.replicated(log, upTo: seq)
        case .final(let logs): self.replica.final(logs)
        case .peer(let box, let sync):
            self.sync[box] = sync
            self.view.note(sync, of: box, now: self.node.clock.monotonic())
        case .quarantined(let reason):
            self.quarantine = reason
            self.view.quarantine = reason
            if let reason { self.logger.warning("this box is in quarantine", metadata: ["reason": "\(reason.rawValue)"]) }
        case .alarm(let alarm): self.note(alarm)
        case .clockHeard(let box, let physical, let isSynced): self.place.clockHeard(box, physical, isSynced)
        case .closeLink(let box, let reason):
            self.logger.notice("link refused", metadata: ["box": "\(self.name(of: box))", "reason": "\(reason)"])
            self.running?.transport.close(box, reason: reason)
        }
    }

    /// One commit at a time; what arrives meanwhile shares the next one. While somebody is here to read it nothing waits: the disk is spared
    /// only when nobody looks.
    private func applySoon(within milliseconds: UInt64) {
        guard let running = self.running, !running.applying.isBusy else { return }
        let wait = self.node.online.userCount > 0 || running.applying.isLarge ? 0 : milliseconds
        if wait == 0 { return self.apply() }
        let due = self.node.clock.monotonic() + wait
        guard self.running?.applying.schedule(due) == true else { return }
        self.loop.scheduleTask(in: .milliseconds(Int64(wait))) { [weak self] in
            self?.assumeIsolated { $0.applyDue(due) }
        }
    }

    private func applyDue(_ due: UInt64) {
        guard self.running?.applying.isDue(due) == true else { return }
        self.apply()
    }

    private func apply() {
        guard let work = self.running?.applying.take() else { return }
        let federation = self.running?.federation
        self.replica.apply(work.batches) { result in
            self.enter { if $0.running?.federation == federation { $0.applied(work.tokens, result) } }
        }
    }

    private func applied(_ tokens: [UInt64], _ result: Result<[LogEpoch: UInt64], SkerryError>) {
        self.running?.applying.isBusy = false
        switch result {
        case .success(let heads): for token in tokens { self.step(.applied(token, heads: heads)) }
        case .failure(let error):
            if self.troubles.isNew("apply \(error.code.rawValue)", now: self.node.clock.monotonic()) {
                self.logger.error("what other boxes wrote cannot be kept", metadata: ["error": "\(error.detail)"])
            }
            for token in tokens { self.step(.applyFailed(token)) }
        }
        if self.running?.applying.isEmpty == false { self.applySoon(within: 0) }
    }

    // MARK: - Alarms

    private func note(_ alarm: EngineAlarm) {
        self.node.metrics.add(.federationAlarms)
        self.view.alarms.note(alarm, now: self.node.clock.wall())
        if self.troubles.isNew("\(alarm)", now: self.node.clock.monotonic()) {
            self.logger.warning("federation", metadata: ["alarm": "\(alarm.text)"])
        }
    }

    func name(of box: BoxID) -> String {
        guard let member = self.running?.members[box], !member.name.isEmpty else { return box.description }
        return "\(member.name) (\(box))"
    }
}

extension FederationService: ReplicationListener {
    package nonisolated func appended(_ runs: [CommittedRun]) {
        // Nobody to send them to: only where the log ends is of interest, and memory must not hold what the disk does.
        let isHeard = !self.view.peers.isEmpty && self.view.waiting.take(runs)
        self.enter { service in
            for run in runs {
                if isHeard { service.view.waiting.give(back: run) }
                service.step(.appended(isHeard ? run : run.withoutEntries))
            }
        }
    }

    package nonisolated func membersChanged() {
        self.enter { service in Task { await service.reloadMembers() } }
    }
}

/// What features may do.
private final class FederationPort: FederationLinks {
    private let service: FederationService

    init(_ service: FederationService) { self.service = service }

    var box: BoxID { self.service.node.box }
    var peers: [BoxID] { Array(self.service.view.peers) }
    func send(_ channel: LinkChannel, _ payload: [UInt8], to box: BoxID?) { self.service.enter { $0.send(channel, payload, to: box) } }
    func ask(_ kind: RequestKind, _ body: [UInt8], of box: BoxID) async -> [UInt8]? { await self.service.ask(kind, body, of: box) }
}

extension CommittedRun {
    /// Where the log ends, without what it says.
    var withoutEntries: CommittedRun { CommittedRun(log: self.log, firstSeq: self.firstSeq + UInt64(self.entries.count), entries: []) }
}
