import Replication
import SkerryModel

/// What goes wrong, drawn fault by fault from the seed.
final class SimFaults {
    unowned let world: SimWorld
    private var random: SimRandom
    private var total: Int
    /// Old copies of disks, by instance.
    private var backups: [Int: DiskImage] = [:]
    private var joinsLeft = 1
    private var removalsLeft = 1
    private var clonesLeft = 1

    init(_ world: SimWorld) {
        self.world = world
        self.random = world.random.fork()
        self.total = world.profile.weights.reduce(0) { $0 + $1.1 }
    }

    /// What lasts for the whole run.
    func begin() {
        let profile = self.world.profile
        if profile.has(.sparse), self.world.boxes.count > 2 { self.thin() }
        self.world.network.lossPerMille = profile.lossPerMille
        self.world.network.doublePerMille = profile.doublePerMille
        self.world.network.latePerMille = profile.latePerMille
        self.plan()
    }

    /// Keeps a chain and drops some of the other links.
    private func thin() {
        for link in self.world.network.links {
            let distance = link.sides[1].instance - link.sides[0].instance
            if distance > 1, self.random.chance(700) { link.cuts += 1 }
        }
    }

    private func plan() {
        guard self.total > 0 else { return }
        let every = self.world.profile.faultEvery
        self.world.after(self.random.time(every / 2, every * 3 / 2)) {
            guard self.world.isLiving else { return }
            self.happen()
            self.plan()
        }
    }

    private func happen() {
        var draw = self.random.below(self.total)
        for (kind, weight) in self.world.profile.weights {
            draw -= weight
            if draw < 0 {
                self.world.figures.faults += 1
                return self.happen(kind)
            }
        }
    }

    private func someBox(_ isFit: (SimBox) -> Bool = { $0.isUp }) -> SimBox? { self.random.pick(self.world.boxes.filter { !$0.isGone && isFit($0) }) }

    private func happen(_ kind: FaultKind) {
        let world = self.world
        switch kind {
        case .linkCut: if let link = self.random.pick(world.network.links) { world.network.cut(link, for: self.random.time(100, 5_000)) }
        case .partition: self.partition()
        case .oneWay:
            guard let link = self.random.pick(world.network.links) else { return }
            world.note(0x51, "one way \(link.sides[0].name)-\(link.sides[1].name)")
            world.network.deafen(link, self.random.below(2), for: self.random.time(500, 6_000))
        case .hubForgets:
            world.note(0x52, "the hub forgets")
            world.network.forget()
        case .crash: if let box = self.someBox({ $0.isRunning }) { self.restart(box, after: self.random.time(50, 4_000), boots: false) }
        case .reboot: if let box = self.someBox({ $0.isRunning }) { self.restart(box, after: self.random.time(500, 5_000), boots: true) }
        case .pause:
            guard let box = self.someBox() else { return }
            box.pause()
            world.after(self.random.time(200, 6_000)) { box.resume() }
        case .diskFull:
            guard let box = self.someBox({ !$0.isDiskFull }) else { return }
            world.note(0x53, "\(box.name) has no room left")
            box.isDiskFull = true
            world.after(self.random.time(500, 6_000)) { box.isDiskFull = false }
        case .diskSlow:
            guard let box = self.someBox({ !$0.isDiskSlow }) else { return }
            box.isDiskSlow = true
            world.after(self.random.time(500, 6_000)) { box.isDiskSlow = false }
        case .restore: self.restore()
        case .wipe: self.wipe()
        case .clone: self.clone()
        case .clock: self.turnClock()
        case .removal: self.remove()
        case .join: self.join()
        case .hostile: self.misbehave()
        case .retention:
            guard let box = self.someBox(), let age = world.profile.retention else { return }
            self.retain(box, age)
        case .sparse, .lossy, .mixedVersions: break
        }
    }

    private func partition() {
        let groups = self.world.boxes.map { _ in self.random.chance(500) }
        let duration = self.random.time(500, 8_000)
        self.world.note(0x54, "partition for \(duration) ms")
        for link in self.world.network.links where groups[link.sides[0].instance] != groups[link.sides[1].instance] {
            self.world.network.cut(link, for: duration)
        }
    }

    private func restart(_ box: SimBox, after delay: UInt64, boots: Bool) {
        box.stop()
        self.world.after(delay) {
            guard !box.isRunning else { return }
            if boots { self.boot(box) }
            box.start()
        }
    }

    private func boot(_ box: SimBox) {
        box.clock.boot(at: self.world.now, base: self.random.time(0, 5_000))
        if self.world.profile.has(.clock) {
            box.clock.isSynced = self.random.chance(300)
            box.clock.wallOffset = box.clock.isSynced ? 0 : self.strayOffset()
            self.mislead()
        }
    }

    /// A clock that nobody has set: 1970, years behind, or not far off. One that is years ahead is believed at a start (`ClockDiscipline`).
    private func strayOffset() -> Int64 {
        let year: Int64 = 365 * 86_400_000
        return switch self.random.below(3) {
        case 0: -Int64(SimWorld.epochMilliseconds)
        case 1: -year * Int64(self.random.between(1, 20))
        default: Int64(self.random.between(-3_600_000, 0))
        }
    }

    /// Boxes without a clock of their own follow one that says it is right, and cannot go back afterwards.
    private func mislead() {
        guard self.world.boxes.contains(where: \.wasWrong) else { return }
        for box in self.world.boxes where !box.clock.isSynced { box.wasWrong = true }
    }

    private func turnClock() {
        guard let box = self.someBox() else { return }
        box.clock.isWrong = false
        // Somebody always knows the time.
        if box.instance != 0, self.random.chance(400) {
            box.clock.isSynced = false
            box.clock.wallOffset = self.strayOffset()
        } else if box.instance == self.world.profile.boxes - 1, self.random.chance(300) {
            // One is told a wrong time by a source it trusts.
            box.clock.isSynced = true
            box.clock.isWrong = true
            box.wasWrong = true
            box.clock.wallOffset = 7_200_000
        } else {
            box.clock.isSynced = true
            box.clock.wallOffset = Int64(self.random.between(-200, 200))
        }
        self.mislead()
        self.world.note(0x55, "\(box.name) clock \(box.clock.isWrong ? "wrong" : box.clock.isSynced ? "set" : "astray")")
    }

    // MARK: - Disks

    private func restore() {
        guard let box = self.someBox({ $0.isRunning }) else { return }
        guard let backup = self.backups[box.instance], self.random.chance(600) else {
            self.world.note(0x56, "\(box.name) is backed up")
            self.backups[box.instance] = box.disk
            return
        }
        box.stop()
        self.put(backup, on: box, "restored")
        self.world.after(self.random.time(100, 3_000)) { box.start() }
    }

    private func wipe() {
        guard self.world.members.count > 1, let box = self.someBox({ $0.isRunning && $0.instance != 0 }) else { return }
        box.stop()
        // It still knows with whom it began; who came and went since is in the log.
        var members = self.world.founders
        members[box.id] = EngineMember(standing: .active, logKey: box.logKey)
        self.put(DiskImage(members: members, isNewVersion: box.disk.isNewVersion), on: box, "wiped")
        self.world.after(self.random.time(500, 4_000)) { box.start() }
    }

    /// Everything that the box had and the image has not is lost with it.
    private func put(_ image: DiskImage, on box: SimBox, _ text: String) {
        self.world.note(0x57, "\(box.name) is \(text)")
        self.world.hadRestore = true
        for (index, log) in box.disk.logs.enumerated() {
            let kept = image.log(index)
            for seq in 1...max(1, log.head) where log.place(seq) == .held && kept.place(seq) != .held {
                self.world.truth.logs[index].entry(seq)?.lost(by: box.instance, dead: self.world.dead)
            }
        }
        box.disk = image
        if box.synced != nil { box.synced = image }
    }

    private func retain(_ box: SimBox, _ age: UInt64) {
        // A box whose clock is behind keeps more than it must, never less.
        let now = min(box.physical, self.world.trueMilliseconds)
        self.world.retainedAt = max(self.world.retainedAt, now)
        box.enqueue(.retain(now: now, age: age), within: 100)
    }

    // MARK: - Identities

    private func clone() {
        guard self.clonesLeft > 0, self.world.boxes.count < 40, let box = self.someBox({ $0.isUp && !$0.isRemoved && $0.instance != 0 }) else { return }
        self.clonesLeft -= 1
        self.world.hadClone = true
        let twin = SimBox(
            self.world, instance: self.world.boxes.count, id: box.id, name: box.name + "'", logKey: box.logKey, disk: box.disk, clock: box.clock)
        for (index, log) in twin.disk.logs.enumerated() {
            for (offset, place) in log.places.enumerated() where place == .held { self.world.truth.logs[index].entries[offset].held(by: twin.instance) }
        }
        twin.wasWrong = box.wasWrong
        self.world.boxes.append(twin)
        for other in self.world.boxes where other.id != box.id {
            self.world.network.connect(twin, other)
            // The double has the network of the original.
            if let link = self.world.network.link(box, other), let copy = self.world.network.link(twin, other), self.world.profile.has(.sparse) {
                copy.cuts = link.cuts > 0 ? 1 : 0
            }
        }
        self.world.note(0x58, "\(box.name) has a double")
        twin.start()
        // The administrator hears of it and stops one of the two.
        self.world.after(self.random.time(3_000, 9_000)) { self.stopClone(twin) }
    }

    func stopClone(_ twin: SimBox) {
        guard !twin.isGone else { return }
        self.world.note(0x59, "\(twin.name) is taken away")
        twin.stop()
        twin.isGone = true
        self.writeOff(twin)
    }

    /// Nothing of what only the box holds will be seen again.
    private func writeOff(_ box: SimBox) {
        self.world.dead |= 1 << UInt64(box.instance)
        for log in self.world.truth.logs { for entry in log.entries { entry.checkLost(dead: self.world.dead) } }
    }

    private func remove() {
        let issuer = self.world.boxes[0]
        guard self.removalsLeft > 0, self.world.members.count > 2, issuer.isUp, !issuer.isDiskFull,
            let box = self.someBox({ $0.instance != 0 && !$0.isRemoved && $0.name.last != "'" })
        else { return }
        self.removalsLeft -= 1
        // As far as anybody whom the issuer hears has its logs.
        let cut = issuer.reach(of: box.id)
        let member = EngineMember(standing: .removed, logKey: box.logKey, cut: cut)
        issuer.enqueue(
            .write(
                ClientWrite(content: .member(box.id, member)) { entry in
                    guard entry != nil else { return }
                    self.world.note(0x5a, "\(box.name) is removed")
                    for link in self.world.network.links where link.sides.contains(where: { $0.id == box.id }) {
                        let other = link.sides[0].id == box.id ? link.sides[1] : link.sides[0]
                        if !other.accepts(box.id) { self.world.network.drop(link) }
                    }
                    if !self.world.isLiving { self.mend() }
                }), within: 0)
    }

    private func join() {
        let issuer = self.world.boxes[0]
        guard self.joinsLeft > 0, self.world.boxes.count < 32, issuer.isUp, !issuer.isDiskFull else { return }
        self.joinsLeft -= 1
        let identity = SimIdentity(self.world.boxes.count)
        issuer.enqueue(
            .write(
                ClientWrite(content: .member(identity.id, EngineMember(standing: .active, logKey: identity.logKey))) { entry in
                    guard entry != nil, issuer.isRunning else { return }
                    let disk = DiskImage(members: issuer.disk.members, isNewVersion: true)
                    let box = self.world.addBox(identity, disk)
                    self.world.note(0x5b, "\(box.name) joins")
                    box.start()
                }), within: 0)
    }

    // MARK: - The hostile member

    private func misbehave() {
        guard self.world.boxes.count > 1, let box = self.someBox({ $0.isUp && !$0.isRemoved }) else { return }
        SimMischief(self.world, box).happen(&self.random)
    }

    // MARK: - Afterwards

    /// A removal that only the issuer knew of before its disk was put back has not happened; nor has a joining.
    private func settleMembers() {
        let others = self.world.boxes.filter { !$0.isGone }
        for id in self.world.removed.keys {
            let isKnown = others.contains { $0.id != id && $0.disk.members[id]?.standing == .removed && self.world.removed[$0.id] == nil }
            if !isKnown { self.world.removed[id] = nil }
        }
        for box in self.world.boxes where self.world.removed[box.id] != nil { self.writeOff(box) }
        for box in others where box.instance >= self.world.profile.boxes && !box.isRemoved {
            guard !others.contains(where: { $0 !== box && $0.accepts(box.id) && !$0.isRemoved }) else { continue }
            self.world.note(0x5c, "\(box.name) belongs to nobody")
            box.stop()
            box.isGone = true
            self.writeOff(box)
        }
    }

    /// Everything works again, as far as it ever did.
    func heal() {
        let world = self.world
        world.isLiving = false
        world.network.lossPerMille = 0
        world.network.doublePerMille = 0
        world.network.latePerMille = 0
        for box in world.boxes where box.name.last == "'" { self.stopClone(box) }
        self.settleMembers()
        for box in world.boxes {
            box.isDiskFull = false
            box.isDiskSlow = false
            box.resume()
            if !box.disk.isNewVersion, !box.isGone {
                box.stop()
                box.disk.upgrade(world.truth, world.options.mutations)
            }
            if !box.isRunning, !box.isGone { box.start() }
        }
        self.mend()
    }

    /// All links that there ever were.
    private func mend() {
        for link in self.world.network.links {
            // A chain whose middle was removed is two federations.
            let isSparse = self.world.profile.has(.sparse) && self.world.removed.isEmpty && link.sides[1].instance - link.sides[0].instance > 1
            if !isSparse { link.cuts = 0 }
            link.isDeaf = [false, false]
        }
        self.world.network.poke()
    }
}
