package import Primitives

/// What nodes say of themselves and of each other, and what that means: values as the API gives them in, findings out.
package enum ClusterVerdicts {
    /// A node that was asked.
    package struct Asked: Sendable {
        package var node: String
        package var url: String
        /// Nil when it does not answer.
        package var health: Value?
        package var trouble: String
        /// How far its wall clock is before this machine's, and how surely that is known.
        package var offset: (by: Duration, give: Duration)?
        /// Days until its certificate for calls ends; nil where it has none.
        package var certificateDays: Int?

        package init(node: String, url: String, health: Value? = nil, trouble: String = "") {
            (self.node, self.url, self.health, self.trouble) = (node, url, health, trouble)
        }
    }

    /// Clocks apart by more mislead people who compare times; cluster time bears it.
    private static let clockTolerance = Duration.milliseconds(250)
    private static let clockLimit = Duration.seconds(10)
    /// What a worker is that gets nothing new.
    private static let closed: Set = ["cordoned", "draining", "drained", "overdue", "distrusted"]

    // MARK: What may fail next

    package static func quorum(_ status: Value) -> Finding {
        guard let have = status.at("quorum", "have")?.int, let need = status.at("quorum", "need")?.int,
            let of = status.at("quorum", "of")?.int
        else {
            return Finding("quorum", .fail, "the node does not say who votes", "does it belong to a cluster? 'distric status' tells")
        }
        let measured =
            "\(of) coordinator\(of == 1 ? " votes" : "s vote"), \(have) answer\(have == 1 ? "s" : ""), \(need) \(need == 1 ? "is" : "are") needed"
        let margin = have - need
        if margin < 0 {
            return Finding(
                "quorum", .fail, measured,
                "nothing is accepted: start coordinators that are down, or see 'distric cluster recover' when they are lost")
        }
        if of == 1 {
            return Finding(
                "quorum", .warn, measured + ": it may not fail", "two more coordinators (--join) make a cluster that bears the loss of one")
        }
        if margin == 0 {
            return Finding(
                "quorum", .warn, measured + ": none may fail now", "bring back those that do not answer before anything else is stopped")
        }
        let full = of - need
        return Finding(
            "quorum", margin < full ? .warn : .ok, "\(measured): \(margin) may fail next without harm",
            margin < full ? "bring back those that do not answer" : "")
    }

    /// - Parameter nodes: rows of `/api/v1/nodes`.
    package static func leader(_ status: Value) -> Finding {
        guard let leader = status["leader"]?.string else {
            return Finding(
                "leader", .fail, "no coordinator leads",
                "elections take a second or two; when it lasts, 'distric raft status' says who hears whom")
        }
        return Finding("leader", .ok, "\(leader) leads term \(status["term"]?.int ?? 0)")
    }

    /// Where the work can go: all of it, and what asks for a label.
    package static func workers(_ nodes: [Value]) -> [Finding] {
        let workers = nodes.filter { $0["role"]?.string?.split(separator: ",").contains("worker") == true }
        let answering = workers.filter { $0["state"]?.string == "alive" }
        let alive = answering.filter { !closed.contains($0["standing"]?.string ?? "") }.compactMap { $0["id"]?.string }
        let away = answering.count - alive.count
        guard !workers.isEmpty else {
            return [
                Finding(
                    "workers", .fail, "there is no worker",
                    "exec and http tasks wait until one joins: 'distric node --role worker --join HOST:PORT'")
            ]
        }
        let measured =
            "\(answering.count) of \(workers.count) worker\(workers.count == 1 ? " answers" : "s answer")"
            + (away == 0 ? "" : ", \(away) of them take\(away == 1 ? "s" : "") nothing new")
        var found: [Finding] = []
        switch alive.count {
        case 0 where away > 0:
            found.append(
                Finding(
                    "workers", .fail, measured,
                    "what comes waits: 'distric nodes' says which are cordoned or drained, and 'distric nodes uncordon ID' opens one"))
        case 0: found.append(Finding("workers", .fail, measured, "exec and http tasks wait: start the workers, and look into their logs"))
        case 1:
            found.append(
                Finding("workers", .warn, "\(measured): \(alive[0]) may not fail", "with another worker tasks go on when one fails"))
        default:
            let isWhole = answering.count == workers.count
            found.append(
                Finding(
                    "workers", isWhole ? .ok : .warn, "\(measured): \(alive.count - 1) may fail, one after the other",
                    isWhole ? "" : "bring back those that do not answer"))
        }
        var byLabel: [String: [String]] = [:]
        for worker in answering where !closed.contains(worker["standing"]?.string ?? "") {
            for label in labels(worker) { byLabel[label, default: []].append(worker["id"]?.string ?? "") }
        }
        for (label, ids) in byLabel.sorted(by: { $0.key < $1.key }) where ids.count == 1 && alive.count > 1 {
            found.append(
                Finding(
                    "workers", .warn, "\(ids[0]) alone has \(label)",
                    "tasks that ask for it wait when it fails: give it to another worker too"))
        }
        return found
    }

    /// `key=value`, as a list or as a map.
    private static func labels(_ worker: Value) -> [String] {
        if let list = worker["labels"]?.list { return list.compactMap(\.string) }
        return (worker["labels"]?.map?.members ?? []).map { "\($0.key)=\($0.value.string ?? "")" }
    }

    package static func versions(_ nodes: [Value]) -> Finding {
        let named = Dictionary(grouping: nodes.filter { $0["version"]?.string?.isEmpty == false }) { $0["version"]?.string ?? "" }
        let levels = Set(nodes.compactMap { $0["featureLevel"]?.int })
        let text = named.sorted { $0.key < $1.key }.map { version, rows in
            "\(version)\(named.count == 1 ? "" : " on \(rows.compactMap { $0["id"]?.string }.sorted().joined(separator: ", "))")"
        }.joined(separator: "; ")
        guard named.count > 1 || levels.count > 1 else { return Finding("versions", .ok, text.isEmpty ? "nobody says" : text) }
        return Finding(
            "versions", .warn, text, "finish the upgrade: new features wait until every coordinator has them ('distric cluster upgrade')")
    }

    // MARK: Each node

    package static func node(_ asked: Asked) -> [Finding] {
        guard let health = asked.health else {
            return [
                Finding(
                    "node \(asked.node)", .fail, "\(asked.url) does not answer: \(asked.trouble)",
                    "is it running, and reachable from here? its log says more")
            ]
        }
        let parts = health["components"]?.list ?? []
        let down = parts.filter { $0["status"]?.string == "down" }
        let bad = parts.filter { !["up", nil].contains($0["status"]?.string) }
        let reasons = bad.map { "\($0["name"]?.string ?? ""): \($0["reason"]?.string ?? "")" }.joined(separator: "; ")
        var found = [
            bad.isEmpty
                ? Finding("node \(asked.node)", .ok, "all of its \(parts.count) parts are up")
                : Finding(
                    "node \(asked.node)", down.isEmpty ? .warn : .fail, reasons,
                    "'distric health --connect \(asked.url)' and its log say more")
        ]
        if let offset = asked.offset { found.append(clock(asked.node, offset.by, give: offset.give)) }
        if let days = asked.certificateDays {
            let finding = LocalVerdicts.certificate("the certificate of \(asked.node)", expiresInDays: days, problem: nil)
            if finding.verdict != .ok { found.append(finding) }
        }
        return found
    }

    /// - Parameter give: what the way there and back leaves open.
    static func clock(_ node: String, _ offset: Duration, give: Duration) -> Finding {
        let apart = max(.zero, (offset < .zero ? .zero - offset : offset) - give)
        let measured = "the clock of \(node) is \(LocalVerdicts.short(apart)) \(offset < .zero ? "behind" : "before") this machine's"
        guard apart > clockTolerance else { return Finding("clock \(node)", .ok, "the clock of \(node) agrees with this machine's") }
        return Finding(
            "clock \(node)", apart > clockLimit ? .fail : .warn, measured,
            "look after chrony, ntpd or systemd-timesyncd on both: times of the nodes mislead")
    }
}
