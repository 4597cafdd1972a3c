import ChatCodec
import NIOCore
import SkerryModel
import SkerryNode
import Synchronization
import TestKit

/// A client as Chat.md tells it to be: attach, sync until done while pushes wait, apply them in order, keep the last cursor; repeat a send
/// with the same cid until it is answered.
///
/// `@unchecked Sendable`: a simulation runs on one thread; the closures it hands out are called there.
final class SimClient: @unchecked Sendable {
    struct Seen: Equatable {
        var text: String?
        var order: String
        var isRecalled = false
        var reactions: [String: Set<String>] = [:]
    }
    struct Room {
        var title = ""
        var members: [String: String] = [:]
        var read: [String: String] = [:]
        var messages: [String: Seen] = [:]
    }

    let name: String
    let user: UserID
    private(set) var connection: TestClient?
    private(set) var isLive = false
    private(set) var rooms: [String: Room] = [:]
    private(set) var cursor: String?
    private var waiting: [JSON] = []
    /// Sends that were not answered: cid and request.
    private(set) var unanswered: [(cid: String, request: String)] = []
    private(set) var acked: [(mid: String, order: String)] = []
    /// Messages shown live, each as (conversation, order), for the judge.
    private(set) var shownLive: [(conversation: String, mid: String, order: String)] = []
    private var shownInSession: Set<String> = []
    private(set) var problems: [String] = []
    private var generation = 0

    init(name: String) {
        self.name = name
        self.user = TestBox.userID(name)
    }

    // MARK: - Connecting

    func connect(_ box: TestBox, loop: Int) {
        guard self.connection == nil else { return }
        let client = box.connect(self.name, loop: loop)
        self.connection = client
        self.isLive = false
        self.waiting = []
        self.shownInSession = []
        self.generation += 1
        let generation = self.generation
        box.chat.greeting(cursor: self.cursor, loop: client.loop) { result in
            guard self.generation == generation, case .success(let greeting) = result else { return }
            if greeting.isKnown { self.page() } else { self.reload(from: greeting.live) }
        }
    }

    /// The connection is gone; what was on its way does not arrive.
    func disconnect(isCrash: Bool = false) {
        self.generation += 1
        if !isCrash { self.connection?.detach() }
        self.connection = nil
        self.isLive = false
        self.waiting = []
    }

    private func ask(_ verb: String, _ json: String, _ answer: @escaping (JSON) -> Void) {
        guard let connection = self.connection else { return }
        let generation = self.generation
        let carried = Carried(answer)
        do throws(SkerryError) {
            let request = try connection.request(verb, json)
            connection.box.chat.perform(request, as: connection.caller, loop: connection.loop) { result in
                guard self.generation == generation else { return }
                switch result {
                case .success(let bytes):
                    guard let json = JSON(bytes: bytes.readableBytesView) else { return self.problems.append("no JSON: \(String(buffer: bytes))") }
                    carried.body(json)
                case .failure(let error):
                    // Refusals are part of life here, but none of these reads may fail while a member asks.
                    if verb == "sync" && error.code != .unavailable { self.problems.append("sync was refused: \(error)") }
                }
            }
        } catch { self.problems.append("\(verb) could not be made: \(error)") }
    }

    /// `@unchecked Sendable`: as its client.
    private final class Carried: @unchecked Sendable {
        let body: (JSON) -> Void
        init(_ body: @escaping (JSON) -> Void) { self.body = body }
    }

    private func page() {
        self.ask("sync", #"{"since":"\#(self.cursor ?? "")","limit":5}"#) { page in
            guard page["status"]?.text == "ok" else { return self.reload(from: page["cursor"]?.text ?? "") }
            for item in page["items"]?.elements ?? [] { self.apply(item) }
            self.cursor = page["cursor"]?.text
            if page["done"]?.isTrue == true { self.goLive() } else { self.page() }
        }
    }

    private func reload(from live: String) {
        self.rooms = [:]
        self.ask("conversations", "{}") { list in
            let views = list["items"]?.elements ?? []
            for view in views { self.applyConversation(view) }
            self.loadHistory(views.compactMap { $0["id"]?.text }, before: nil, live)
        }
    }

    private func loadHistory(_ rest: [String], before: String?, _ live: String) {
        guard let conversation = rest.first else {
            self.cursor = live
            return self.goLive()
        }
        let from = before.map { #","before":"\#($0)""# } ?? ""
        let generation = self.generation
        var isAnswered = false
        self.askAllowingRefusal("history", #"{"conv":"\#(conversation)","limit":4\#(from)}"#) { page in
            guard self.generation == generation, !isAnswered else { return }
            isAnswered = true
            let items = page?["items"]?.elements ?? []
            for item in items { self.applyMessage(item) }
            if page?["more"]?.isTrue == true, let first = items.first?["order"]?.text {
                self.loadHistory(rest, before: first, live)
            } else {
                self.loadHistory(Array(rest.dropFirst()), before: nil, live)
            }
        }
    }

    /// Somebody may have put us out of the conversation meanwhile.
    private func askAllowingRefusal(_ verb: String, _ json: String, _ answer: @escaping (JSON?) -> Void) {
        guard let connection = self.connection, let request = try? connection.request(verb, json) else { return }
        let carried = Carried { answer($0) }
        connection.box.chat.perform(request, as: connection.caller, loop: connection.loop) { result in
            carried.body((try? result.get()).flatMap { JSON(bytes: $0.readableBytesView) } ?? .null)
        }
    }

    private func goLive() {
        self.isLive = true
        for push in self.waiting { self.take(push) }
        self.waiting = []
    }

    /// What the outlet got since the last time.
    func receive() {
        for push in self.connection?.outlet.take() ?? [] {
            if push["t"]?.text == "msg", let d = push["d"], let mid = d["mid"]?.text {
                if !self.shownInSession.insert(mid).inserted { self.problems.append("\(mid) was pushed twice") }
                self.shownLive.append((d["conv"]?.text ?? "", mid, d["order"]?.text ?? ""))
            }
            if self.isLive { self.take(push) } else { self.waiting.append(push) }
        }
    }

    private func take(_ push: JSON) {
        self.apply(push)
        if let cursor = push["cursor"]?.text { self.cursor = cursor }
    }

    // MARK: - What it shows

    private func apply(_ item: JSON) {
        guard let d = item["d"] else { return }
        let conversation = d["conv"]?.text ?? ""
        switch TestClient.kind(item) {
        case "msg": self.applyMessage(d)
        case "change conversation": if let view = d["conversation"] { self.applyConversation(view) }
        case "change left": self.rooms[conversation] = nil
        case "change edit": self.change(d) { if !$0.isRecalled { $0.text = d["text"]?.text } }
        case "change recall":
            self.change(d) { seen in
                seen.isRecalled = true
                seen.reactions = [:]
                seen.text = nil
            }
        case "change react":
            self.change(d) { seen in
                if seen.isRecalled { return }
                let (emoji, by) = (d["emoji"]?.text ?? "", d["by"]?.text ?? "")
                if d["on"]?.isTrue == true { seen.reactions[emoji, default: []].insert(by) } else { seen.reactions[emoji]?.remove(by) }
                if seen.reactions[emoji]?.isEmpty == true { seen.reactions[emoji] = nil }
            }
        case "receipt": self.raise(conversation, d["user"]?.text ?? "", d["read"]?.text)
        default: self.problems.append("unexpected push \(item)")
        }
    }

    private func applyMessage(_ d: JSON) {
        guard let conversation = d["conv"]?.text, let mid = d["mid"]?.text else { return }
        guard self.rooms[conversation]?.messages[mid] == nil else { return }
        var reactions: [String: Set<String>] = [:]
        for reaction in d["reactions"]?.elements ?? [] {
            reactions[reaction["emoji"]?.text ?? ""] = Set((reaction["users"]?.elements ?? []).compactMap(\.text))
        }
        self.rooms[conversation, default: Room()].messages[mid] = Seen(
            text: d["text"]?.text, order: d["order"]?.text ?? "", isRecalled: d["recalled"]?.isTrue == true, reactions: reactions)
    }

    private func applyConversation(_ view: JSON) {
        guard let id = view["id"]?.text else { return }
        self.rooms[id, default: Room()].title = view["title"]?.text ?? ""
        self.rooms[id]?.members = [:]
        for member in view["members"]?.elements ?? [] {
            guard let user = member["user"]?.text else { continue }
            self.rooms[id]?.members[user] = member["role"]?.text
            self.raise(id, user, member["read"]?.text)
        }
    }

    private func raise(_ conversation: String, _ user: String, _ read: String?) {
        guard let read else { return }
        let before = self.rooms[conversation]?.read[user] ?? ""
        if before.utf8.lexicographicallyPrecedes(read.utf8) { self.rooms[conversation]?.read[user] = read }
    }

    private func change(_ d: JSON, _ body: (inout Seen) -> Void) {
        guard let conversation = d["conv"]?.text, let mid = d["mid"]?.text, var seen = self.rooms[conversation]?.messages[mid] else { return }
        body(&seen)
        self.rooms[conversation]?.messages[mid] = seen
    }

    // MARK: - What it does

    func send(_ conversation: String, cid: String, text: String) {
        let request = #"{"conv":"\#(conversation)","cid":"\#(cid)","text":"\#(text)"}"#
        self.unanswered.append((cid, request))
        self.transmit(cid, request)
    }

    /// Repeats what was not answered, as it was.
    func repeatUnanswered() { for (cid, request) in self.unanswered { self.transmit(cid, request) } }

    private func transmit(_ cid: String, _ request: String) {
        guard let connection = self.connection, let parsed = try? connection.request("send", request) else { return }
        let generation = self.generation
        connection.box.chat.perform(parsed, as: connection.caller, loop: connection.loop) { result in
            guard self.generation == generation else { return }
            switch result {
            case .success(let bytes):
                let answer = JSON(bytes: bytes.readableBytesView)
                self.acked.append((answer?["mid"]?.text ?? "", answer?["order"]?.text ?? ""))
            case .failure(let error):
                if error.code.isTemporary { return }
                if error.code == .conflict { self.problems.append("a repeated send became a conflict") }
            }
            self.unanswered.removeAll { $0.cid == cid }
        }
    }

    /// A request whose answer does not matter.
    func tell(_ verb: String, _ json: String) { self.askAllowingRefusal(verb, json) { _ in } }
}
