/// What was promised to clients, held against what the runs say: nothing that was acknowledged may be missing, and nothing may be there twice.
struct RunLedger {
    private struct Seen {
        var runs: Set<String> = []
        /// Rows of a run that was there already.
        var repeated = 0
        var succeeded = 0
    }

    private var acknowledged: Set<String> = []
    private var seen: [String: Seen] = [:]
    private var endings: [Int] = []

    mutating func acknowledge(_ messages: some Sequence<String>) { acknowledged.formUnion(messages) }

    /// - Parameters:
    ///   - message: whose run it is.
    ///   - endedAt: milliseconds; nil while it is open.
    mutating func note(run: String, message: String, state: String, endedAt: Int?) {
        let isNew = seen[message, default: Seen()].runs.insert(run).inserted
        if !isNew { seen[message]?.repeated += 1 }
        if state == "succeeded" { seen[message]?.succeeded += 1 }
        if let endedAt { endings.append(endedAt) }
    }

    var acknowledgedCount: Int { acknowledged.count }

    /// Acknowledged, and there is no run of it.
    var lost: Int { acknowledged.count { seen[$0] == nil } }

    /// There is more than one run of it, or one that ended more than once.
    var twice: Int { seen.values.count { $0.runs.count > 1 || $0.repeated > 0 } }

    /// Acknowledged, with a run that did not succeed.
    var unsuccessful: Int { acknowledged.count { seen[$0].map { $0.succeeded == 0 } ?? false } }

    /// The longest time in which no run ended, in milliseconds, of a span that began and ended then.
    func longestPause(from start: Int, to end: Int) -> Int {
        let within = endings.filter { $0 > start && $0 < end }.sorted()
        let marks = [start] + within + [end]
        return zip(marks, marks.dropFirst()).map { $1 - $0 }.max() ?? 0
    }
}
