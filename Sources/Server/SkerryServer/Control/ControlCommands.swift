import Account
import ChatCodec
import SkerryModel
import SkerryNode

/// The administrator's verbs, carried out: on a running box by way of its control socket, or on the data directory of one that is stopped.
struct ControlCommands: Sendable {
    let node: Node
    let accounts: AccountService
    /// Nil when no box runs: then nobody is online.
    let control: NodeControl?
    /// Nil when no box runs.
    var reloader: SettingsReloader?
    let links: LinkPrinter
    /// Told of a new claim link, which the box also leaves in its run directory.
    let claimed: @Sendable (String) -> Void
    /// What clients without an account may use when no box runs (`mqtt.anonymous`).
    var openedOffline: [TopicFilter] = []

    /// What clients without an account may use.
    var opened: [TopicFilter] { self.control?.broker?.openedTopics ?? self.openedOffline }

    func perform(_ request: ControlRequest) async throws(SkerryError) -> ControlReply {
        switch request.verb {
        case .claim: try await self.claim()
        case .userAdd: try await self.addUser(request)
        case .userList: try await self.listUsers()
        case .userLock: try await self.lock(request, isLocked: true)
        case .userUnlock: try await self.lock(request, isLocked: false)
        case .userReset: try await self.reset(request)
        case .token: try await self.token(request)
        case .invite: try await self.invite(request)
        case .aclAdd: try await self.addRule(request)
        case .aclList: try await self.listRules()
        case .aclRemove: try await self.removeRule(request)
        case .aclCheck: try await self.checkRules(request)
        case .online: self.online()
        case .status: try await self.status()
        case .reload: try self.reload()
        case .clientsList, .clientsShow, .clientsKick, .retainedList, .retainedShow, .retainedClear: try await self.mqtt(request)
        case .pairInvite, .pairJoin, .pairProgress, .pairAnnounce, .pairList, .pairApprove, .pairIgnore, .pairWords, .pairRecovery, .pairRestore, .boxesRemove:
            try await self.pair(request)
        case .boxesList, .drain: try await self.boxes(request)
        }
    }

    // MARK: Links

    private func claim() async throws(SkerryError) -> ControlReply {
        let issued = try await self.accounts.openClaim()
        let urls = self.links.urls(issued.path)
        if let first = urls.first { self.claimed(first) }
        return self.reply(
            issued, "Open this link in a browser to become the box's administrator. It works once, until \(Timestamp.text(issued.expiresMilliseconds)).")
    }

    private func invite(_ request: ControlRequest) async throws(SkerryError) -> ControlReply {
        guard let role = Role(text: request.role ?? "user") else { throw SkerryError(.payloadInvalid, "role is admin or user.", field: "role") }
        let (uses, hours) = (request.uses ?? 1, request.hours ?? 72)
        let issued = try await self.accounts.createInvite(role: role, uses: uses, hours: hours, by: .console)
        let times = uses == 1 ? "once" : "\(uses) times"
        return self.reply(issued, "With this link people join the box. It works \(times), until \(Timestamp.text(issued.expiresMilliseconds)).")
    }

    private func reply(_ issued: IssuedLink, _ sentence: String) -> ControlReply {
        let urls = self.links.urls(issued.path)
        var text = sentence + "\n"
        for url in urls { text += "\n  \(url)" }
        if let url = urls.first, let code = QRCode(url) { text += "\n\n" + code.terminalText }
        return ControlReply(text) {
            $0.field("id", issued.id)
            $0.field("token", issued.token.text)
            $0.field("link", urls.first)
            $0.array("links", urls) { $0.string($1) }
            $0.field("expires", time: issued.expiresMilliseconds)
        }
    }

    // MARK: People

    private func addUser(_ request: ControlRequest) async throws(SkerryError) -> ControlReply {
        guard let role = Role(text: request.role ?? "user") else { throw SkerryError(.payloadInvalid, "role is admin or user.", field: "role") }
        let user = try await self.accounts.createUser(name: try Self.name(request), password: request.password, role: role, by: .console)
        return ControlReply("\(user.name) can sign in now (\(role.text)).") {
            $0.field("id", user.id)
            $0.field("name", user.name)
            $0.field("role", user.role.text)
        }
    }

    private func listUsers() async throws(SkerryError) -> ControlReply {
        var users: [UserSummary] = []
        var after: String?
        repeat {
            let page = try await self.accounts.users(after: after, limit: self.node.limits.listPageMax, by: .console)
            users += page.items
            after = page.next
        } while after != nil
        var table = TextTable(["NAME", "ROLE", "STATE", "DEVICES", "SINCE"])
        for item in users {
            let state = item.user.isLocked ? "locked" : item.isOnline ? "online" : "-"
            table.add([item.user.name, item.user.role.text, state, "\(item.devices)", Timestamp.text(item.user.createdMilliseconds)])
        }
        let text = users.isEmpty ? "There are no users yet; `skerry claim` prints the link that makes the first." : table.text
        return ControlReply(text) {
            $0.array("items", users) { json, item in
                json.object {
                    $0.field("id", item.user.id)
                    $0.field("name", item.user.name)
                    $0.field("display", item.user.display)
                    $0.field("role", item.user.role.text)
                    $0.field("locked", item.user.isLocked)
                    $0.field("online", item.isOnline)
                    $0.field("devices", item.devices)
                    $0.field("created", time: item.user.createdMilliseconds)
                }
            }
        }
    }

    private func lock(_ request: ControlRequest, isLocked: Bool) async throws(SkerryError) -> ControlReply {
        let name = try Self.name(request)
        if isLocked {
            try await self.accounts.lock(Self.reference(name), by: .console)
            return ControlReply("\(name) is locked out.") { $0.field("locked", true) }
        }
        try await self.accounts.unlock(Self.reference(name), by: .console)
        return ControlReply("\(name) can sign in again.") { $0.field("locked", false) }
    }

    private func reset(_ request: ControlRequest) async throws(SkerryError) -> ControlReply {
        let name = try Self.name(request)
        if let password = request.password {
            try await self.accounts.setPassword(password, of: Self.reference(name))
            return ControlReply("\(name) has a new password; every device of theirs has to sign in again.") { $0.field("name", name) }
        }
        let issued = try await self.accounts.createReset(for: Self.reference(name), by: .console)
        return self.reply(issued, "With this link \(name) chooses a new password. It works once, until \(Timestamp.text(issued.expiresMilliseconds)).")
    }

    /// The token alone, so that a script can take it as it is.
    private func token(_ request: ControlRequest) async throws(SkerryError) -> ControlReply {
        let signedIn = try await self.accounts.issueToken(for: Self.reference(try Self.name(request)), device: request.device, by: .console)
        return ControlReply(signedIn.token.text) {
            $0.field("token", signedIn.token.text)
            $0.field("user", signedIn.user.id)
            $0.field("name", signedIn.user.name)
            $0.field("device", signedIn.device)
            $0.field("expires", time: signedIn.expiresMilliseconds)
        }
    }

    private static func name(_ request: ControlRequest) throws(SkerryError) -> String {
        guard let name = request.name, !name.isEmpty else { throw SkerryError(.payloadInvalid, "Give the user's name.", field: "name") }
        return name
    }

    private static func reference(_ name: String) -> UserReference { .name(key: UserName.key(of: name)) }

    // MARK: The box

    private func online() -> ControlReply {
        let sessions = self.node.online.sessions
        var table = TextTable(["NAME", "KIND", "ADDRESS", "SINCE", "CLIENT"])
        for session in sessions {
            table.add([session.name, session.kind.rawValue, session.address, Timestamp.text(session.sinceMilliseconds), session.client ?? "-"])
        }
        return ControlReply(sessions.isEmpty ? "Nobody is connected." : table.text) {
            $0.array("items", sessions) { json, session in
                json.object {
                    $0.field("user", session.user)
                    $0.field("name", session.name)
                    $0.field("kind", session.kind.rawValue)
                    $0.field("address", session.address)
                    $0.field("since", time: session.sinceMilliseconds)
                    $0.field("client", session.client)
                }
            }
        }
    }

    private func reload() throws(SkerryError) -> ControlReply {
        guard let reloader = self.reloader else { throw SkerryError(.unavailable, "No box runs on this data directory; it reads its settings when it starts.") }
        let report = reloader.reload()
        var lines = report.problems
        if report.problems.isEmpty || !report.taken.isEmpty {
            lines.append(
                report.taken.isEmpty ? "Settings and certificates were read; no setting has changed." : "In force now: \(report.taken.joined(separator: ", "))."
            )
        } else {
            lines.append("Nothing was changed.")
        }
        if !report.waiting.isEmpty { lines.append("Waiting for a restart: \(report.waiting.joined(separator: ", ")).") }
        var reply = ControlReply(lines.joined(separator: "\n")) {
            $0.array("changed", report.taken) { $0.string($1) }
            $0.array("restart", report.waiting) { $0.string($1) }
            $0.array("problems", report.problems) { $0.string($1) }
        }
        reply.isOK = report.problems.isEmpty
        return reply
    }

    private func status() async throws(SkerryError) -> ControlReply {
        guard let control = self.control else { throw SkerryError(.unavailable, "No box runs on this data directory; start it with `skerry serve`.") }
        let overview = try await control.overview(by: .console)
        let reasons = await control.unreadiness()
        var table = TextTable(["box", overview.box.description])
        table.add(["version", overview.version])
        table.add(["running", "\(overview.uptimeSeconds) s, since \(Timestamp.text(overview.startedMilliseconds))"])
        table.add(["ready", reasons.isEmpty ? "yes" : "no: " + reasons.joined(separator: " ")])
        table.add(["people", "\(overview.users) users, \(overview.online) online (\(overview.webSockets) WebSocket, \(overview.mqttSessions) MQTT)"])
        if !overview.isClaimed { table.add(["claimed", "no: `skerry claim` prints the link that makes the first administrator"]) }
        table.add(["messages", "\(overview.messages), \(overview.storeBytes / 1024) KiB on disk"])
        if let bytes = overview.residentBytes { table.add(["memory", "\(bytes / 1024) KiB"]) }
        if let disk = overview.disk { table.add(["disk", "\(disk.freeBytes >> 20) of \(disk.totalBytes >> 20) MiB free"]) }
        if let isSynced = overview.clockIsSynced { table.add(["clock", isSynced ? "kept right" : "not synchronised: times are approximate"]) }
        for listener in overview.listeners {
            table.add([
                "listener",
                "\(listener.name.map { "\($0), " } ?? "")\(listener.kind.rawValue)\(listener.isTLS ? " with TLS" : "") on \(listener.address) port \(listener.port)",
            ])
        }
        return ControlReply(table.text) {
            $0.field("ready", reasons.isEmpty)
            $0.array("reasons", reasons) { $0.string($1) }
            overview.write(to: &$0)
        }
    }
}

/// Columns as wide as their widest cell.
struct TextTable {
    private var rows: [[String]]

    init(_ header: [String]) { self.rows = [header] }
    /// Cells hold names that clients gave themselves.
    mutating func add(_ row: [String]) { self.rows.append(row.map(PlainText.clean)) }

    var text: String {
        var widths: [Int] = []
        for row in self.rows {
            for (index, cell) in row.enumerated() {
                if index == widths.count { widths.append(0) }
                widths[index] = max(widths[index], PlainText.columns(cell))
            }
        }
        return self.rows.map { row in
            var line = ""
            for (cell, width) in zip(row, widths) { line += cell + String(repeating: " ", count: width - PlainText.columns(cell) + 2) }
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }
}

/// Makes links that can be opened: one for each address by which the box may be reached.
struct LinkPrinter: Sendable {
    /// `http://192.168.1.20:8080`; the one on this machine last.
    let bases: [String]

    func urls(_ path: String) -> [String] { self.bases.isEmpty ? [path] : self.bases.map { $0 + path } }
}
