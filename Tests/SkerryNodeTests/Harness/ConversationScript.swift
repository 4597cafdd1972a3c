import SkerryModel
import Store
import TestKit

/// A conversation written down for people: who connects, who sends what, who is answered what, who is shown what.
///
/// ```
/// users ann bob
/// connect ann bob
/// ann > send {"conv":"@bob","cid":"1","text":"hi"}     a request
/// ann < {"dup":false,"mid":"$mid"}                      its answer holds at least this; $mid is remembered, or must be what it was
/// ann < error conflict                                  or it was refused
/// bob << msg {"text":"hi","from":"$ann"}                the next thing bob is shown; `change edit` names a change's kind
/// bob << nothing                                        and nothing more
/// ```
/// Also `disconnect ann`, `restart` (a new process on the same disk; everybody is disconnected), `later 60` (seconds) and `ann/2` for a
/// second device. A user's id is `$name`. Pushes that nobody asks about must not be there: each is named, or `nothing` fails.
struct ConversationScript: Sendable, CustomStringConvertible {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let name: String
    let text: String
    var description: String { self.name }

    /// Plays the script on boxes of that kind of store.
    func play(on place: BoxPlace) async throws {
        var stage = Stage(place: place, box: TestBox(store: try place.open()))
        defer { stage.box.store.close() }
        for (index, line) in self.text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = line.drop { $0 == " " }
            if line.isEmpty || line.hasPrefix("#") { continue }
            do {
                try await stage.perform(String(line))
            } catch {
                throw Failure(description: "\(self.name):\(index + 1): \(line)\n    \(error)")
            }
        }
        for (name, client) in stage.clients.sorted(by: { $0.key < $1.key }) {
            let rest = stage.waiting[name, default: []] + (await client.received())
            guard rest.isEmpty else { throw Failure(description: "\(self.name): at the end \(name) was also shown \(rest)") }
        }
    }

    private struct Stage {
        let place: BoxPlace
        var box: TestBox
        var clients: [String: TestClient] = [:]
        var waiting: [String: [JSON]] = [:]
        var answers: [String: Result<JSON, SkerryError>] = [:]
        var known: [String: JSON] = [:]

        mutating func perform(_ line: String) async throws {
            let words = line.split(separator: " ", maxSplits: 1).map(String.init)
            let rest = words.count > 1 ? words[1] : ""
            switch words[0] {
            case "users":
                let names = rest.split(separator: " ").map(String.init)
                try await self.box.addUsers(names)
                for name in names { self.known[name] = .string(TestBox.userID(name).description) }
            case "connect":
                for (index, name) in rest.split(separator: " ").map(String.init).enumerated() {
                    self.clients[name] = self.box.connect(String(name.split(separator: "/")[0]), loop: index)
                }
            case "disconnect":
                for name in rest.split(separator: " ").map(String.init) {
                    self.clients.removeValue(forKey: name)?.detach()
                    self.waiting[name] = nil
                }
            case "restart":
                self.box.store.close()
                self.box = TestBox(store: try self.place.open(), clock: self.box.clock, seed: 2)
                self.clients = [:]
                self.waiting = [:]
            case "later": self.box.clock.advance((UInt64(rest) ?? 0) * 1000)
            default: try await self.speak(words[0], rest)
            }
        }

        private mutating func speak(_ name: String, _ rest: String) async throws {
            guard let client = self.clients[name] else { throw Failure(description: "\(name) is not connected") }
            let words = rest.split(separator: " ", maxSplits: 1).map(String.init)
            let argument = words.count > 1 ? words[1] : ""
            switch words.first {
            case ">":
                let parts = argument.split(separator: " ", maxSplits: 1).map(String.init)
                let json = parts.count > 1 ? try self.filled(parts[1]) : "{}"
                do throws(SkerryError) {
                    self.answers[name] = .success(try await client.ask(parts[0], json))
                } catch { self.answers[name] = .failure(error) }
            case "<": try self.compareAnswer(name, argument)
            case "<<": try await self.comparePush(name, client, argument)
            default: throw Failure(description: "expected >, < or <<")
            }
        }

        private mutating func compareAnswer(_ name: String, _ wanted: String) throws {
            guard let answer = self.answers[name] else { throw Failure(description: "\(name) asked nothing") }
            if wanted.hasPrefix("error ") {
                guard case .failure(let error) = answer else { throw Failure(description: "it was not refused: \(answer)") }
                guard error.code.rawValue == wanted.dropFirst(6) else { throw Failure(description: "refused with \(error)") }
                return
            }
            try self.compare(try answer.get(), try self.pattern(wanted), at: "d")
        }

        private mutating func comparePush(_ name: String, _ client: TestClient, _ wanted: String) async throws {
            var frames = self.waiting[name, default: []] + (await client.received())
            defer { self.waiting[name] = frames }
            if wanted == "nothing" {
                guard frames.isEmpty else { throw Failure(description: "\(name) was shown \(frames)") }
                return
            }
            guard !frames.isEmpty else { throw Failure(description: "\(name) was shown nothing") }
            let frame = frames.removeFirst()
            let brace = wanted.firstIndex(of: "{") ?? wanted.endIndex
            let kind = wanted[..<brace].split(separator: " ").joined(separator: " ")
            guard TestClient.kind(frame) == kind else { throw Failure(description: "\(name) was shown \(frame)") }
            if brace < wanted.endIndex { try self.compare(frame["d"] ?? .null, try self.pattern(String(wanted[brace...])), at: "d") }
        }

        private func pattern(_ text: String) throws -> JSON {
            guard let pattern = JSON(text) else { throw Failure(description: "not JSON: \(text)") }
            return pattern
        }

        /// The request with every known `$name` put in.
        private func filled(_ text: String) throws -> String { self.fill(try self.pattern(text)).description }

        private func fill(_ json: JSON) -> JSON {
            switch json {
            case .string(let text) where text.hasPrefix("$"): self.known[String(text.dropFirst())] ?? json
            case .array(let elements): .array(elements.map(self.fill))
            case .object(let fields): .object(fields.mapValues(self.fill))
            default: json
            }
        }

        /// Objects hold at least the wanted fields, arrays exactly the wanted elements; `null` stands for a field that is not there.
        private mutating func compare(_ found: JSON, _ wanted: JSON, at path: String) throws {
            switch wanted {
            case .string(let text) where text.hasPrefix("$"):
                let name = String(text.dropFirst())
                guard let known = self.known[name] else {
                    self.known[name] = found
                    return
                }
                guard known == found else { throw Failure(description: "\(path) is \(found), \(text) is \(known)") }
            case .object(let fields):
                for (key, value) in fields {
                    if value == .null {
                        guard found[key] == nil else { throw Failure(description: "\(path).\(key) is there: \(found)") }
                        continue
                    }
                    guard let part = found[key] else { throw Failure(description: "\(path).\(key) is missing in \(found)") }
                    try self.compare(part, value, at: "\(path).\(key)")
                }
            case .array(let elements):
                guard found.elements.count == elements.count else { throw Failure(description: "\(path) is \(found)") }
                for (index, (part, value)) in zip(found.elements, elements).enumerated() { try self.compare(part, value, at: "\(path)[\(index)]") }
            default:
                guard found == wanted else { throw Failure(description: "\(path) is \(found), wanted \(wanted)") }
            }
        }
    }
}
