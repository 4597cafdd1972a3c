import Account
import MQTTSession
package import SkerryModel
import Synchronization

/// Access rules at a client's home: what they leave it is made once, kept with its session, and made anew when the rules, its role or what is
/// open to everybody change. Nothing else of a session changes then: a subscription that is no longer allowed stays and is given nothing.
extension BrokerShard {
    /// What a client may do; nil: everything.
    ///
    /// - Parameter terms: by which it has come, or came last; nil when that is not known any more.
    func rights(_ owner: SessionOwner, name: String, role: Role, clientID: String, _ terms: ListenerTerms?) -> TopicRights? {
        switch owner {
        case .anonymous:
            let client = AccessRules.Client(anonymous: clientID)
            guard let terms else { return self.access.rights(of: client)?.keepingAll }
            return self.access.rights(of: client, opened: terms.anonymous)
        case .user(let user): return self.access.rights(of: AccessRules.Client(user: user, name: name, role: role, clientID: clientID))
        }
    }

    /// Makes the rights of a session anew.
    func renewRights(_ session: BrokerSession) {
        let rights = self.rights(session.owner, name: session.name, role: session.role, clientID: session.machine.clientID, session.terms)
        if rights == nil && session.rights == nil { return }
        session.rights = rights
        self.noteShared(session, isOnline: session.link != nil)
    }

    /// The rules, or what is open to everybody, are others from now on.
    func change(_ access: TopicAccess) {
        self.perform {
            self.access = access
            for session in self.sessions.values { self.renewRights(session) }
        }
    }

    func rulesChanged(_ rules: AccessRules) { self.change(TopicAccess(rules: rules, opened: self.access.opened)) }

    /// A user has another role from now on, in sessions that are connected and in those that are away.
    func roleChanged(_ user: UserID, _ role: Role) {
        self.perform {
            for session in Array(self.sessions.values) where session.owner.user == user {
                session.role = role
                session.caller?.role = role
                self.renewRights(session)
                self.dropSystem(session)
                self.save(session)
            }
        }
    }

    /// Whether a message may go to a client; counted when it may not.
    func mayRead(_ topic: TopicName, _ session: BrokerSession) -> Bool {
        guard let rights = session.rights, !rights.mayRead(topic) else { return true }
        self.metrics.add(.mqttWithheld)
        return false
    }

    /// What `Session.pump` asks before it sends what has waited: the rules may have changed since. Nil for a client that may read everything.
    func readCheck(_ session: BrokerSession) -> ((TopicName) -> Bool)? {
        session.rights == nil ? nil : { [self] topic in self.mayRead(topic, session) }
    }
}

extension MQTTBroker {
    /// What clients without an account may use now.
    package var openedTopics: [TopicFilter] { self.opened.withLock { $0 } }

    /// Opens other topics to clients without an account than those of the settings at the start: their connections are judged by them at once.
    package func open(_ topics: [TopicFilter]) {
        self.opened.withLock { $0 = topics }
        for shard in self.node.shards {
            shard.enter { shard in
                guard let mqtt = shard.mqtt else { return }
                mqtt.change(TopicAccess(rules: mqtt.access.rules, opened: topics))
            }
        }
    }
}
