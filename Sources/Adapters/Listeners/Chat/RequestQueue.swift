import ChatCodec
import SkerryModel

/// The requests of one session: which are being worked on and which wait, in order.
///
/// Bounded by the connection: it reads nothing more while something waits here, so at most the requests of one read do.
struct RequestQueue {
    private var waiting: [(id: Int?, request: ChatRequest)] = []
    private var next = 0
    private(set) var inFlight = 0
    private(set) var pagesInFlight = 0

    /// Whether nothing waits.
    var isEmpty: Bool { self.next == self.waiting.count }

    mutating func append(_ id: Int?, _ request: ChatRequest) { self.waiting.append((id, request)) }

    /// The next request, counted as being worked on; nil when none waits or may start.
    mutating func start(limits: Limits) -> (id: Int?, request: ChatRequest)? {
        guard self.next < self.waiting.count, self.inFlight < limits.requestsInFlightMax else { return nil }
        let first = self.waiting[self.next]
        if first.request.readsPages {
            guard self.pagesInFlight < limits.pagesInFlightMax else { return nil }
            self.pagesInFlight += 1
        }
        self.inFlight += 1
        self.next += 1
        if self.isEmpty {
            self.waiting = []
            self.next = 0
        }
        return first
    }

    mutating func finish(isPage: Bool) {
        self.inFlight -= 1
        if isPage { self.pagesInFlight -= 1 }
    }
}

extension ChatRequest {
    /// Whether the answer may be large.
    var readsPages: Bool {
        switch self {
        case .sync, .conversations, .history, .users, .presence, .conversation: true
        case .send, .edit, .recall, .react, .receipt, .typing, .createGroup, .createDirect, .update, .invite, .remove, .role, .leave, .block, .blocks, .ping:
            false
        }
    }
}
