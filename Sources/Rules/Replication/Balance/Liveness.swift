package import SkerryModel

/// Whether another box is there, from what this box hears of it and on this box's own clock alone (FEDERATION.md §3):
/// `unknown → alive → suspect → down`, or `unreachable` while a third box still hears it; `leaving` when it said so.
package struct Liveness: Sendable, Hashable {
    /// Milliseconds without a word.
    package static let suspectAfter: UInt64 = 15_000
    package static let downAfter: UInt64 = 30_000
    /// Runs of the box that are over and remembered, so that a late word of one of them is not taken for news.
    static let pastMax = 8

    package enum Event: Sendable, Hashable {
        /// `uptime`: milliseconds the box has run.
        case heartbeat(StartMark, uptime: UInt64)
        /// It said that it is there, or that it stops.
        case online(StartMark)
        case leaving(StartMark)
        /// Its will was heard, or the link to it closed.
        case lost
        /// A third box heard it `ageMilliseconds` ago.
        case sighted(ageMilliseconds: UInt64)
        case tick
    }

    package private(set) var state = BoxLiveness.unknown
    /// When it was heard last, and when by somebody else; on this box's clock.
    package private(set) var heard: UInt64?
    private var sighted: UInt64?
    private var mark: StartMark?
    private var uptime: UInt64 = 0
    private var past: [StartMark] = []

    package init() {}

    package var start: StartMark? { self.mark }

    /// True: the state is another one now.
    @discardableResult
    package mutating func hear(_ event: Event, now: UInt64) -> Bool {
        let before = self.state
        switch event {
        case .heartbeat(let mark, let uptime):
            guard self.accepts(mark, uptime: uptime) else { break }
            let isSameRun = mark == self.mark
            self.take(mark)
            self.uptime = uptime
            self.heard = now
            // It said that it stops, and only another run or a word to the contrary takes that back.
            if self.state == .leaving && isSameRun { break }
            self.state = .alive
        case .online(let mark):
            guard self.isNews(mark) else { break }
            self.take(mark)
            self.heard = now
            self.state = .alive
        case .leaving(let mark):
            guard self.isNews(mark) else { break }
            self.take(mark)
            self.heard = now
            self.state = .leaving
        case .lost:
            switch self.state {
            case .alive: self.state = .suspect
            case .leaving: self.state = .down
            case .unknown, .suspect, .down, .unreachable: break
            }
        case .sighted(let age):
            let time = now - min(now, age)
            self.sighted = max(self.sighted ?? 0, time)
            // Somebody hears it: it runs, and only the way to it is broken.
            if self.isSighted(now), self.state == .down || self.state == .unknown { self.state = .unreachable }
        case .tick: self.pass(now)
        }
        return self.state != before
    }

    private mutating func pass(_ now: UInt64) {
        let silence = now - min(now, self.heard ?? now)
        switch self.state {
        case .alive:
            if silence >= Self.downAfter {
                self.state = self.isSighted(now) ? .unreachable : .down
            } else if silence >= Self.suspectAfter {
                self.state = .suspect
            }
        case .suspect: if silence >= Self.downAfter { self.state = self.isSighted(now) ? .unreachable : .down }
        case .leaving: if silence >= Self.suspectAfter { self.state = .down }
        case .unreachable: if !self.isSighted(now) { self.state = self.heard == nil ? .unknown : .down }
        case .unknown, .down: break
        }
    }

    private func isSighted(_ now: UInt64) -> Bool { self.sighted.map { now - min(now, $0) < Self.downAfter } ?? false }

    /// Whether a heartbeat is of the run of now and later than the last one, or of a run that was not heard of before.
    package func accepts(_ mark: StartMark, uptime: UInt64) -> Bool { mark == self.mark ? uptime > self.uptime : self.isNews(mark) }

    private func isNews(_ mark: StartMark) -> Bool { !self.past.contains(mark) }

    private mutating func take(_ mark: StartMark) {
        guard mark != self.mark else { return }
        if let old = self.mark {
            self.past.append(old)
            if self.past.count > Self.pastMax { self.past.removeFirst() }
        }
        self.mark = mark
        self.uptime = 0
    }
}
