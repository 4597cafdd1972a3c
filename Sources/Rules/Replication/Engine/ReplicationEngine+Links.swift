import SkerryModel

/// Members, links and greetings.
extension ReplicationEngine {
    mutating func setMembers(_ members: [BoxID: EngineMember]) {
        self.members = members
        for (group, state) in self.groups {
            for epoch in state.epochs.keys {
                let log = LogEpoch(origin: group.origin, stream: group.stream, epoch: epoch)
                let cut = self.cut(of: log)
                guard state.epochs[epoch]?.cut != cut else { continue }
                self.update(log) { $0.cut = cut }
            }
        }
        for place in self.peers.indices where self.peers[place].isLinked && !self.isActive(self.peers[place].box) {
            self.close(place, "not an active member")
        }
        self.twins = self.twins.filter { members[$0]?.standing != .removed }
        for place in self.peers.indices { self.findAhead(place) }
        self.needsPull = true
        self.needsFinal = true
    }

    mutating func linkUp(_ box: BoxID) {
        if box == self.box {
            self.foundTwin(of: box)
            self.out.append(.closeLink(box, reason: "this box's own identity"))
            return
        }
        guard self.isActive(box) else {
            self.alarm(.notAMember(box))
            self.out.append(.closeLink(box, reason: "not an active member"))
            return
        }
        let place = self.place(for: box)
        self.peers[place].linked()
        self.greet(place)
    }

    mutating func linkDown(_ box: BoxID) {
        guard let place = self.places[box] else { return }
        self.down(place)
    }

    mutating func down(_ place: Int) {
        self.peers[place].isLinked = false
        self.peers[place].pulls = [:]
        self.peers[place].reads = 0
        self.peers[place].unacknowledged = 0
        self.peers[place].dirty = []
        self.needsPull = true
        let box = self.peers[place].box
        self.reads = self.reads.filter { $0.value.peer != box }
    }

    mutating func close(_ place: Int, _ reason: String) {
        self.out.append(.closeLink(self.peers[place].box, reason: reason))
        self.down(place)
    }

    private mutating func place(for box: BoxID) -> Int {
        if let place = self.places[box] { return place }
        let place = self.peers.firstIndex { $0.box > box } ?? self.peers.count
        self.peers.insert(PeerState(box), at: place)
        for index in self.peers.indices { self.places[self.peers[index].box] = index }
        return place
    }

    // MARK: Greetings

    func hello(to box: BoxID?) -> Hello {
        var hello = Hello(
            federation: self.federation, versions: self.limits.versions, mark: self.mark, physicalMilliseconds: self.now.physical,
            isClockSynced: self.now.isSynced)
        for stream in Stream.allCases {
            for (epoch, state) in self.groups[LogGroup(self.box, stream)]?.epochs ?? [:] where state.isCurrent && state.shown > 0 {
                hello.heads[LogEpoch(origin: self.box, stream: stream, epoch: epoch)] = state.shown
            }
        }
        if let box {
            hello.remembered = self.marks[box]
            hello.quarantine = self.twins.contains(box) ? .clone : nil
        }
        return hello
    }

    mutating func greet(_ place: Int) {
        let correlation = self.random()
        self.peers[place].helloCorrelation = correlation
        self.peers[place].helloSent = self.now.monotonic
        let body = HelloCodec.encode(self.hello(to: nil), from: self.box)
        self.send(place, .request, LinkRequest(.hello, correlation: correlation, body: body).payload)
    }

    /// A greeting or its answer may be lost on the way: asked again until both boxes know each other.
    mutating func greetAgain(_ place: Int) {
        guard self.peers[place].phase == .greeting, self.now.monotonic >= self.peers[place].helloSent + self.limits.helloEvery else { return }
        self.greet(place)
    }

    /// False: the link is of no use.
    /// `isFresh`: it answers what was asked on this link, and so was not under way since an earlier run.
    private mutating func take(_ hello: Hello, _ place: Int, isFresh: Bool) -> Bool {
        let box = self.peers[place].box
        guard hello.federation == self.federation else {
            self.alarm(.wrongFederation(link: box))
            self.close(place, "of another federation")
            return false
        }
        guard hello.versions.overlaps(self.limits.versions) else {
            self.peers[place].isRefusedVersion = true
            self.alarm(.versionMismatch(box))
            self.close(place, "no common version: it speaks \(hello.versions), this box \(self.limits.versions)")
            return false
        }
        self.out.append(.clockHeard(box, physical: hello.physicalMilliseconds, isSynced: hello.isClockSynced))
        self.note(hello.mark, place, isFresh: isFresh)
        for (log, head) in hello.heads.sorted(by: { Self.isBefore($0.key, $1.key) }) { self.learn(place, log, head) }
        self.peers[place].isHeard = true
        return true
    }

    mutating func receivedHello(_ request: LinkRequest, _ place: Int) {
        let box = self.peers[place].box
        guard let hello = try? HelloCodec.decode(request.body, from: box) else { return self.alarm(.malformed(link: box, .request)) }
        // What is remembered of earlier runs, before this greeting counts.
        var answer = self.hello(to: box)
        guard self.take(hello, place, isFresh: false) else { return }
        answer.quarantine = self.twins.contains(box) ? .clone : nil
        let body = HelloCodec.encode(answer, from: self.box)
        self.send(place, .response, LinkRequest(.hello, correlation: request.correlation, body: body).payload)
        // Greeted once more on the same link, it has missed something: perhaps what is held here.
        if self.peers[place].isGreeted { self.peers[place].isFullDue = true }
        self.peers[place].isGreeted = true
    }

    mutating func receivedHelloAnswer(_ response: LinkRequest, _ place: Int) {
        let box = self.peers[place].box
        guard response.correlation == self.peers[place].helloCorrelation else { return }
        guard let hello = try? HelloCodec.decode(response.body, from: box) else { return self.alarm(.malformed(link: box, .response)) }
        let isFirst = !self.peers[place].isAnswered
        guard self.take(hello, place, isFresh: true) else { return }
        self.peers[place].isAnswered = true
        if isFirst {
            self.peers[place].roundTrip = self.now.monotonic - min(self.peers[place].helloSent, self.now.monotonic)
        }
        if let mark = hello.remembered { self.compare(mark) }
        if hello.quarantine == .clone { self.foundTwin(of: self.box) }
        self.greeted(place)
    }

    /// Live from now on, unless the peer lacks so much that it is faster to pull.
    mutating func greeted(_ place: Int) {
        guard self.peers[place].phase == .live else { return }
        if self.ownGap(place) > self.limits.liveGapMax { self.peers[place].isLagging = true }
    }

    // MARK: Messages

    mutating func received(_ message: LinkMessage, from box: BoxID) {
        guard let place = self.places[box], self.peers[place].isLinked else { return }
        guard message.payload.count <= LinkChannel.payloadBytesMax else { return self.alarm(.malformed(link: box, message.channel)) }
        guard message.origin == box || self.mutations.contains(.anyOrigin) else {
            return self.alarm(.forgedOrigin(link: box, claimed: message.origin))
        }
        guard message.addressee == nil || message.addressee == self.box else { return }
        switch message.channel {
        case .control, .message: self.receivedBatch(message, place)
        case .digest: self.receivedDigest(message.payload, place)
        case .request, .response: self.receivedRequest(message, place)
        default: break
        }
    }

    private mutating func receivedRequest(_ message: LinkMessage, _ place: Int) {
        guard let request = try? LinkRequest(decoding: message.payload) else {
            return self.alarm(.malformed(link: self.peers[place].box, message.channel))
        }
        switch (request.known, message.channel) {
        case (.hello, .request): self.receivedHello(request, place)
        case (.hello, _): self.receivedHelloAnswer(request, place)
        case (.range, .request): self.receivedRangeRequest(request, place)
        case (.range, _): self.receivedRange(request, place)
        default: break
        }
    }
}
