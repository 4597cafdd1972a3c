import Replication
import SkerryModel

/// One link: what runs between two boxes, and what either side believes of it.
final class SimLink {
    let sides: [SimBox]
    /// The number of the connection; 0: none.
    var session = 0
    var isUp = [false, false]
    /// Bytes that each side has sent and not been told to have gone.
    var unacknowledged = [0, 0]
    var arrivedBytes = [0, 0]
    var isAcknowledging = [false, false]
    /// In plain TCP nothing overtakes.
    var lastArrival: [UInt64] = [0, 0]
    /// This direction swallows everything.
    var isDeaf = [false, false]
    /// How many partitions and cuts hold it apart.
    var cuts = 0
    var isTrying = false
    var notBefore: UInt64 = 0

    init(_ one: SimBox, _ other: SimBox) { self.sides = [one, other] }

    func side(of box: SimBox) -> Int { self.sides[0] === box ? 0 : 1 }
}

/// Links with delays, and everything that goes wrong on them.
final class SimNetwork {
    unowned let world: SimWorld
    private(set) var links: [SimLink] = []
    /// By instance.
    private var table: [[SimLink?]] = []
    var lossPerMille = 0
    var doublePerMille = 0
    var latePerMille = 0
    private var random: SimRandom
    /// Messages of before are lost.
    private var forgottenBefore: UInt64 = 0
    private var sessions = 0

    init(_ world: SimWorld) {
        self.world = world
        self.random = world.random.fork()
    }

    func link(_ one: SimBox, _ other: SimBox) -> SimLink? {
        guard one.instance < self.table.count, other.instance < self.table[one.instance].count else { return nil }
        return self.table[one.instance][other.instance]
    }

    func connect(_ one: SimBox, _ other: SimBox) {
        guard one.id != other.id, self.link(one, other) == nil else { return }
        let link = SimLink(one, other)
        self.links.append(link)
        for (from, to) in [(one.instance, other.instance), (other.instance, one.instance)] {
            while self.table.count <= from { self.table.append([]) }
            while self.table[from].count <= to { self.table[from].append(nil) }
            self.table[from][to] = link
        }
    }

    // MARK: - Coming and going

    /// Something has changed that may let links come up.
    func poke() { for link in self.links { self.attempt(link) } }

    private func mayConnect(_ link: SimLink) -> Bool {
        guard link.cuts == 0, !link.isDeaf[0], !link.isDeaf[1], link.sides[0].isRunning, link.sides[1].isRunning else { return false }
        return link.sides[0].accepts(link.sides[1].id) && link.sides[1].accepts(link.sides[0].id)
    }

    private func attempt(_ link: SimLink) {
        guard !link.isTrying, link.session == 0, self.mayConnect(link) else { return }
        link.isTrying = true
        let wait = self.random.time(50, self.world.isLiving ? 1_200 : 300)
        let pause = link.notBefore > self.world.now ? link.notBefore - self.world.now : 0
        self.world.after(wait + pause) {
            link.isTrying = false
            guard link.session == 0, self.mayConnect(link), !link.sides[0].isPaused, !link.sides[1].isPaused else { return self.later(link) }
            self.establish(link)
        }
    }

    private func later(_ link: SimLink) { self.world.after(500) { self.attempt(link) } }

    private func establish(_ link: SimLink) {
        // A box has one link to an identity: a newer connection takes over.
        for side in 0...1 {
            let (box, peer) = (link.sides[side], link.sides[1 - side])
            for twin in self.world.boxes where twin.id == peer.id && twin !== peer {
                guard let other = self.link(box, twin) else { continue }
                if other.session != 0 {
                    self.drop(other, within: 0)
                    // Who is displaced is told why.
                    if twin.isRunning { twin.step(.identityTaken) }
                }
                // What has not noticed yet that the other is gone notices now.
                self.lower(other, other.side(of: box))
            }
        }
        self.sessions += 1
        link.session = self.sessions
        let session = link.session
        self.world.note(0x11, "link \(link.sides[0].name)-\(link.sides[1].name) up")
        for side in 0...1 {
            link.lastArrival[side] = self.world.now
            link.isDeaf[side] = false
            self.world.after(self.random.time(0, 20)) { self.raise(link, side, session) }
        }
    }

    private func raise(_ link: SimLink, _ side: Int, _ session: Int) {
        guard link.session == session, !link.isUp[side], link.sides[side].isRunning else { return }
        link.isUp[side] = true
        link.unacknowledged[side] = 0
        link.arrivedBytes[side] = 0
        link.isAcknowledging[side] = false
        link.sides[side].step(.linkUp(link.sides[1 - side].id))
    }

    /// The connection is gone; either side notices in its own time.
    func drop(_ link: SimLink, within: UInt64 = 2_000) {
        guard link.session != 0 else { return }
        link.session = 0
        self.world.note(0x12, "link \(link.sides[0].name)-\(link.sides[1].name) lost")
        for side in 0...1 where link.isUp[side] {
            if within == 0 { self.lower(link, side) } else { self.world.after(self.random.time(1, within)) { self.lower(link, side) } }
        }
        self.attempt(link)
    }

    private func lower(_ link: SimLink, _ side: Int) {
        guard link.isUp[side] else { return }
        // A newer connection shows the older to be gone at the latest.
        if link.session != 0 { return self.replace(link, side) }
        link.isUp[side] = false
        link.sides[side].step(.linkDown(link.sides[1 - side].id))
        self.attempt(link)
    }

    private func replace(_ link: SimLink, _ side: Int) {
        let session = link.session
        link.isUp[side] = false
        link.sides[side].step(.linkDown(link.sides[1 - side].id))
        self.raise(link, side, session)
    }

    /// The process has ended: its side is down without a word.
    func stopped(_ box: SimBox) {
        for link in self.links where link.sides[0] === box || link.sides[1] === box {
            let side = link.side(of: box)
            link.isUp[side] = false
            self.drop(link)
        }
    }

    /// The box wants no link to that one.
    func close(_ box: SimBox, _ id: BoxID) {
        for link in self.links where link.session != 0 && (link.sides[0] === box || link.sides[1] === box) {
            guard link.sides[1 - link.side(of: box)].id == id else { continue }
            link.notBefore = self.world.now + 2_000
            // Not while the engine is in the middle of a step.
            self.world.after(0) { self.drop(link) }
        }
    }

    func cut(_ link: SimLink, for duration: UInt64) {
        link.cuts += 1
        self.drop(link)
        self.world.after(duration) {
            link.cuts = max(0, link.cuts - 1)
            self.attempt(link)
        }
    }

    func deafen(_ link: SimLink, _ direction: Int, for duration: UInt64) {
        guard link.session != 0 else { return }
        let session = link.session
        link.isDeaf[direction] = true
        self.world.after(duration) {
            link.isDeaf[direction] = false
            // The keepalive has noticed.
            if link.session == session { self.drop(link) }
            self.attempt(link)
        }
    }

    func forget() { self.forgottenBefore = self.world.now + 1 }

    // MARK: - Messages

    /// `claimed`: whose the message says it is. `forged`: what a box would have to believe; it must not.
    func send(_ from: SimBox, to id: BoxID, _ channel: LinkChannel, _ payload: [UInt8], claimed: BoxID? = nil, forged: String? = nil) {
        self.world.figures.messagesSent += 1
        self.world.figures.bytesSent += payload.count
        for box in self.world.boxes where box.id == id {
            guard let link = self.link(from, box) else { continue }
            let side = link.side(of: from)
            guard link.isUp[side] else { continue }
            var message = LinkMessage(origin: claimed ?? from.id, channel: channel, addressee: channel.isAddressed ? id : nil, payload: payload)
            if let forged { return self.travel(link, side, link.session, message, isFirst: false, forged: forged) }
            link.unacknowledged[side] += payload.count
            self.checkWindow(link, side)
            if from.altersUntil > self.world.now { SimMischief.alter(&message, &self.random) }
            self.pass(link, side, message)
            return
        }
    }

    /// P6: what one link has under way stays within bounds, however long nothing gets through.
    private func checkWindow(_ link: SimLink, _ side: Int) {
        let bound = 3 * self.world.profile.limits.windowBytesMax + 4 * LinkChannel.payloadBytesMax
        self.world.figures.linkBytesMax = max(self.world.figures.linkBytesMax, link.unacknowledged[side])
        guard link.unacknowledged[side] > bound else { return }
        self.world.fail("P6", "\(link.sides[side].name) has \(link.unacknowledged[side]) bytes under way to \(link.sides[1 - side].name)")
    }

    private func pass(_ link: SimLink, _ side: Int, _ message: LinkMessage) {
        let session = link.session
        guard session != 0 else { return }
        if self.random.chance(self.lossPerMille) { return self.taken(link, side, session, message.payload.count) }
        self.travel(link, side, session, message, isFirst: true)
        if self.random.chance(self.doublePerMille) { self.travel(link, side, session, message, isFirst: false) }
    }

    private func travel(_ link: SimLink, _ side: Int, _ session: Int, _ message: LinkMessage, isFirst: Bool, forged: String? = nil) {
        let range = self.world.profile.delay
        var arrival = self.world.now + self.random.time(range.lowerBound, range.upperBound)
        let isLate = self.random.chance(self.latePerMille)
        if isLate {
            arrival += self.random.time(100, 3_000)
        } else if isFirst {
            arrival = max(arrival, link.lastArrival[side])
            link.lastArrival[side] = arrival
        }
        let sent = self.world.now
        self.world.after(arrival - sent) {
            if let forged { return self.arriveForged(link, side, session, message, forged) }
            self.arrive(link, side, session, message, sent, isFirst: isFirst, isLate: isLate)
        }
    }

    private func arrive(_ link: SimLink, _ side: Int, _ session: Int, _ message: LinkMessage, _ sent: UInt64, isFirst: Bool, isLate: Bool) {
        let to = link.sides[1 - side]
        if link.isDeaf[side] { return }
        if isFirst { self.taken(link, side, session, message.payload.count) }
        // A hub hands on what it kept although the connection is another by now.
        guard link.session == session || (isLate && link.session != 0), link.isUp[1 - side], to.isRunning, sent >= self.forgottenBefore else { return }
        if to.isPaused {
            to.whenResumed { self.hand(link, side, session, message, to) }
            return
        }
        self.hand(link, side, session, message, to)
    }

    private func arriveForged(_ link: SimLink, _ side: Int, _ session: Int, _ message: LinkMessage, _ text: String) {
        guard link.session == session, link.isUp[1 - side], !link.isDeaf[side], link.sides[1 - side].isUp else { return }
        self.world.note(0x21, "\(link.sides[side].name)→\(link.sides[1 - side].name) forged: \(text)")
        link.sides[1 - side].stepForged(message, from: link.sides[side].id, text)
    }

    private func hand(_ link: SimLink, _ side: Int, _ session: Int, _ message: LinkMessage, _ to: SimBox) {
        guard link.isUp[1 - side], link.session == session || self.world.profile.hasHub else { return }
        self.world.note(
            0x20 ^ UInt64(message.payload.count) << 8, "\(link.sides[side].name)→\(to.name) \(message.channel.rawValue) \(message.payload.count) bytes")
        switch message.channel {
        case .control, .message, .response: self.world.figures.batchBytesReceived += message.payload.count
        default: break
        }
        to.step(.received(message, from: link.sides[side].id))
    }

    /// The carrier has taken it; the sender hears of many at once.
    private func taken(_ link: SimLink, _ side: Int, _ session: Int, _ bytes: Int) {
        guard link.session == session else { return }
        link.arrivedBytes[side] += bytes
        guard !link.isAcknowledging[side] else { return }
        link.isAcknowledging[side] = true
        let range = self.world.profile.delay
        self.world.after(range.lowerBound + 80) {
            guard link.session == session, link.isUp[side], link.isAcknowledging[side] else { return }
            link.isAcknowledging[side] = false
            let bytes = link.arrivedBytes[side]
            link.arrivedBytes[side] = 0
            link.unacknowledged[side] -= bytes
            if bytes > 0, link.sides[side].isRunning { link.sides[side].step(.acknowledged(link.sides[1 - side].id, bytes: bytes)) }
        }
    }
}
