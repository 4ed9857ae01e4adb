import Primitives
import Raft

/// The verbs of a script, done on its cluster. `RaftScript.help` says what each means.
struct ScriptCommands: Sendable {
    var cluster = ScriptedCluster()

    /// Whoever was quiet speaks again.
    mutating func beginBlock() { cluster.isQuiet = false }

    /// Does one command; the lines that it prints.
    mutating func run(_ text: String) throws(ScriptError) -> [String] {
        var words = ScriptWords(text)
        guard let verb = Verb(rawValue: words.verb) else { throw ScriptError("unknown verb '\(words.verb)'") }
        if cluster.servers.isEmpty, ![.cluster, .help, .quiet, .loud].contains(verb) { throw ScriptError("there is no cluster yet") }
        let lines = try run(verb, &words)
        try words.end()
        return cluster.takeLines() + lines
    }

    enum Verb: String, CaseIterable, Sendable {
        case cluster, help, quiet, loud
        case log, state, progress, messages, reads, commit, agree
        case campaign, propose, fill, read, change, transfer, snapshot
        case tick, advance, run, clock, pause, resume
        case deliver, drop, hold, release, duplicate, stabilize, cut, heal
        case stall, store, unstall, crash, restart, spoil, unreadable, close, unreachable
    }

    private mutating func run(_ verb: Verb, _ words: inout ScriptWords) throws(ScriptError) -> [String] {
        switch verb {
        case .cluster, .help, .quiet, .loud: try begin(verb, &words)
        case .log, .state, .progress, .messages, .reads, .commit, .agree: try ask(verb, &words)
        case .campaign, .propose, .fill, .read, .change, .transfer, .snapshot: try request(verb, &words)
        case .tick, .advance, .run, .clock, .pause, .resume: try pass(verb, &words)
        case .deliver, .drop, .hold, .release, .duplicate, .stabilize, .cut, .heal: try carry(verb, &words)
        case .stall, .store, .unstall, .crash, .restart, .spoil, .unreadable, .close, .unreachable: try befall(verb, &words)
        }
    }

    // MARK: Whom it is about

    func place(_ words: inout ScriptWords) throws(ScriptError) -> Int {
        let name = try words.next("a server")
        guard let place = cluster.place(of: try ScriptWords.node(name)) else { throw ScriptError("there is no server '\(name)'") }
        return place
    }

    /// One that is up, and not paused.
    func running(_ words: inout ScriptWords) throws(ScriptError) -> Int {
        let place = try place(&words)
        let server = cluster.servers[place]
        guard server.core != nil else { throw ScriptError("\(server.id) is down") }
        guard !server.isPaused else { throw ScriptError("\(server.id) is paused") }
        return place
    }

    func known(_ words: inout ScriptWords) throws(ScriptError) -> NodeID { cluster.servers[try place(&words)].id }

    // MARK: Beginning

    private mutating func begin(_ verb: Verb, _ words: inout ScriptWords) throws(ScriptError) -> [String] {
        switch verb {
        case .quiet: cluster.isQuiet = true
        case .loud: cluster.isQuiet = false
        case .help: return RaftScript.help.split(separator: "\n").map(String.init)
        default: cluster = try makeCluster(&words)
        }
        return []
    }

    private func makeCluster(_ words: inout ScriptWords) throws(ScriptError) -> ScriptedCluster {
        let settings = try settings(&words)
        let learners = try words.nodes("learners") ?? []
        let spare = try words.nodes("spare") ?? []
        var voters: [NodeID] = []
        while let name = words.take() {
            guard !name.contains("=") else { throw ScriptError("'cluster' does not know what to do with '\(name)'") }
            voters.append(try ScriptWords.node(name))
        }
        guard !voters.isEmpty else { throw ScriptError("'cluster' wants the names of its voters") }
        let all = voters + learners + spare
        for (place, name) in all.enumerated() where all[..<place].contains(name) { throw ScriptError("'\(name)' is there twice") }
        var cluster = ScriptedCluster(voters: voters, learners: learners, spare: spare, settings: settings)
        cluster.isQuiet = self.cluster.isQuiet
        return cluster
    }

    private func settings(_ words: inout ScriptWords) throws(ScriptError) -> RaftSettings {
        var settings = RaftSettings()
        if let text = words.option("election") {
            let ends = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
            guard ends.count == 2 else { throw ScriptError("election is two numbers of milliseconds, as 500-1000") }
            let low = try ScriptWords.number(ends[0], "the least election timeout", in: 3...100_000)
            let high = try ScriptWords.number(ends[1], "the greatest election timeout", in: low + 1...200_000)
            settings.electionTimeout = .milliseconds(low)..<(.milliseconds(high))
        }
        let most = UInt64(settings.electionTimeout.lowerBound.milliseconds) / 3
        settings.heartbeat = .milliseconds(try words.number("heartbeat", in: 1...most) ?? min(50, most))
        settings.leaseReads = words.flag("lease")
        settings.preVote = !words.flag("no-pre-vote")
        settings.checkQuorum = !words.flag("no-check-quorum")
        settings.tailEntries = try words.number("tail", in: 0...1_000_000) ?? 0
        settings.keptBytes = Int(try words.number("keep", in: 0...1 << 30) ?? 1 << 20)
        settings.chunkBytes = 8
        settings.appendBytes = Int(try words.number("append", in: 1...1 << 30) ?? 1 << 20)
        settings.inFlightMessages = Int(try words.number("in-flight", in: 1...1_000_000) ?? 256)
        settings.uncommittedBytes = Int(try words.number("uncommitted", in: 0...1 << 30) ?? 1 << 20)
        settings.pendingReads = Int(try words.number("pending-reads", in: 0...1_000_000) ?? 1_000)
        return settings
    }

    // MARK: Asking

    private mutating func ask(_ verb: Verb, _ words: inout ScriptWords) throws(ScriptError) -> [String] {
        switch verb {
        case .log where words.hasOption("terms"):
            try beginLog(&words)
            return []
        case .messages: return cluster.network.queue.map { $0.text + (cluster.network.isHeld($0) ? " (held)" : "") }.orNone
        case .reads: return cluster.reads.map(\.text).orNone
        case .agree: return cluster.disagreements.isEmpty ? ["all agree"] : cluster.disagreements
        case .progress:
            let place = try running(&words)
            return (cluster.servers[place].core?.progress ?? []).map(\.text).orNone
        default: break
        }
        let servers = words.isEmpty ? cluster.servers : [cluster.servers[try place(&words)]]
        switch verb {
        case .log: return servers.map(\.logText)
        case .commit: return servers.map { "\($0.id) commit=\($0.core?.commitIndex.description ?? "-") applied=\($0.appliedIndex)" }
        default: return servers.map(\.text)
        }
    }

    private mutating func beginLog(_ words: inout ScriptWords) throws(ScriptError) {
        let place = try place(&words)
        var terms: [Term] = []
        for text in (words.option("terms") ?? "").split(separator: ",") {
            let term = try ScriptWords.number(String(text), "a term", in: 1...1_000_000)
            guard Term(term) >= terms.last ?? Term(0) else { throw ScriptError("terms never fall from one entry to the next") }
            terms.append(Term(term))
        }
        let least = terms.last?.number ?? 0
        let term = try words.number("term", in: least...1_000_000) ?? least
        let base = try words.number("base", in: 0...UInt64(terms.count)) ?? 0
        let vote: NodeID? = if let text = words.option("vote") { try ScriptWords.node(text) } else { nil }
        for (offset, term) in terms.prefix(Int(base)).enumerated() {
            guard let known = cluster.checks.committed(at: LogIndex(UInt64(offset) + 1)), known.term != term else { continue }
            throw ScriptError("entry \(offset + 1) is committed with term \(known.term)")
        }
        cluster.begin(place, terms: terms, base: LogIndex(base), state: HardState(term: Term(term), vote: vote))
    }
}

extension [String] {
    /// So that a question has an answer.
    fileprivate var orNone: [String] { isEmpty ? ["none"] : self }
}
