package import Cluster
package import Observability
package import Primitives
package import Wire
package import Workflows

/// What goes into the planner and what comes out.
extension Planner {
    /// Bounds of what is taken in; beyond them it refuses.
    package struct Limits: Equatable, Sendable {
        package var openRuns = 100_000
        package var entryBytes = 1 << 20
        package var stageBytes = 512 << 10
        /// Entries between two digests.
        package var digestEvery: UInt64 = 4096
        package init() {}
    }

    /// A matched message with its runs begun, waiting for assignments and the log.
    package struct Submission: Sendable {
        package var message: Message
        package var catalogVersion: UInt64
        package var matched: [String]
        package var runs: [WorkflowRun]
        /// Of the span that waits for it; nil where its trace is not recorded.
        package var trace: ProposalTrace?

        package init(message: Message, catalogVersion: UInt64, matched: [String], runs: [WorkflowRun]) {
            self.message = message
            self.catalogVersion = catalogVersion
            self.matched = matched
            self.runs = runs
        }

        /// A message that one rule matched, with one run of one workflow begun: what benchmarks and simulations feed in.
        package static func begin(
            _ message: Message, workflow: String, rule: String, catalog: Catalog, wall: ClusterTime, generator: inout SeededGenerator
        ) -> Submission {
            guard let found = catalog.workflow(workflow, in: message.namespace) else {
                return Submission(message: message, catalogVersion: catalog.version, matched: [rule], runs: [])
            }
            var run = WorkflowRun(
                id: UUIDv7(at: wall, using: &generator), definition: found.definition, definitionVersion: found.version, rule: rule,
                message: message,
                params: nil, timeout: nil, retriesLeft: 0, retryOf: nil, trace: nil, now: wall)
            var context = WorkflowRun.Context(definition: found.definition, now: wall, generator: SeededGenerator(seed: generator.next()))
            _ = run.handle(.start, &context)
            return Submission(message: message, catalogVersion: catalog.version, matched: [rule], runs: [run])
        }
    }

    package enum Input: Sendable {
        case submit(Submission, token: Int)
        case report(TaskReport)
        case activate(Catalog, records: [DefinitionRecord], removed: [DefinitionKey], token: Int)
        case resolve(RunID, task: String, WorkflowRun.Verdict, token: Int)
        case cancel(RunID, reason: String, token: Int)
        /// A new run in place of one that has ended.
        case retry(WorkflowRun, trace: TraceContext?, token: Int)
        case join(NodeID, slots: Int, light: Int)
        /// A worker of another process came, or came again: what the log has with it is with it.
        case attach(NodeID, Placement.Offer, Placement.Standing)
        case leave(NodeID)
        /// Whether a worker gets something new, and how much it could take by its own count.
        case stand(NodeID, Placement.Standing, free: Int?)
        /// What each voter says that its program knows, 0 for one that has not said. Nil raises to the most that all know, where the
        /// cluster is new.
        case raiseFeatureLevel(to: UInt16?, announced: [NodeID: UInt16], token: Int?)
        case freeze(FreezeChange, token: Int)
    }

    package enum Answer: Equatable, Sendable {
        case accepted(runs: [RunID], duplicate: Bool)
        /// The catalog changed since the message was matched: match again.
        case rematch(UInt64)
        case busy(String)
        /// As many runs are open as may be: some have to end first.
        case full(String)
        /// It was proposed, and whether it is kept is not known.
        case uncertain(String)
        case activated(UInt64)
        case done
        case started(RunID)
        case notFound(String)
        case conflict(String)
    }

    /// What whoever would begin one more run is told.
    static func tooMany(_ open: Int, _ limit: Int) -> String {
        "\(open) runs are open, at most \(limit) may be (intake.max_open_runs); send it again when some have ended"
    }

    /// An entry to propose, and the state once it is applied.
    package struct Proposal: Sendable {
        package var index: LogIndex
        package var payload: [UInt8]
        package var state: CoordinatorState
        package var history: [HistoryItem]
        package var catalog: Catalog?
    }

    /// What a batch of inputs caused. Everything in it waits until the entry at its index is committed.
    package struct Output: Sendable {
        package var proposals: [Proposal] = []
        package var answers: [(index: LogIndex, token: Int, answer: Answer)] = []
        package var dispatches: [(index: LogIndex, worker: NodeID, assignment: TaskAssignment)] = []
        package var cancels: [(index: LogIndex, worker: NodeID, held: HeldAssignment)] = []
        package var acknowledged: [(index: LogIndex, report: TaskReport, isFresh: Bool)] = []
        package var notices: [(index: LogIndex, notice: Notice)] = []
    }

    /// Something that people want to hear of.
    package enum Notice: Equatable, Sendable {
        /// In place of one before it; those that messages start are counted where messages come in.
        case runStarted
        case runEnded(WorkflowRun)
        case taskFailed(run: WorkflowRun, task: String, attempt: Int, TaskError, willRetry: Bool)
        case taskUnknown(run: WorkflowRun, task: String, attempt: Int)
        case taskStarted(latency: Duration)
        case catalogChanged(version: UInt64)
    }
}
