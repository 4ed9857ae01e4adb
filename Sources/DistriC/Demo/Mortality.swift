import Dispatch
import Storage
import Synchronization
import Transport
import UnixSignals

/// A node that can be made to die, or to stand still, in a process that lives on.
protocol Mortal: Sendable {
    var isLeading: Bool { get }
    func run(signals: [UnixSignal], ready: @escaping @Sendable (String) -> Void) async throws
    func shutDown() async
    /// As a crash, as near as a process that goes on allows: from here on no file takes a byte of it, and nothing that it sends goes out. Who runs it then cancels that,
    /// which closes its sockets; nobody is told, and leadership is handed to nobody.
    func die()
    /// Its loop of Raft and calls and its planner stand still, as of a process that is stopped: it keeps its sockets and answers nobody. Its front door still
    /// reads out what it knew.
    func hold()
    func goOn()
    /// An event that its followers see.
    func tell(_ kind: String, _ subject: String, _ text: String)
}

/// What a node of a demo dies and stands still by.
final class Mortality: Sendable {
    let disk = SeverableDisk(FileDisk())
    private let dead = Atomic(false)
    private let holding = Mutex<[DispatchSemaphore]>([])

    var isDead: Bool { dead.load(ordering: .acquiring) }

    func die(_ network: NodeNetwork) {
        dead.store(true, ordering: .releasing)
        disk.sever()
        network.faults?.sever()
        network.client.close()
    }

    /// - Parameter threads: each runs what it is given on a thread that is to stand still.
    func hold(_ threads: [(@escaping @Sendable () -> Void) -> Void]) {
        holding.withLock { holding in
            guard holding.isEmpty else { return }
            for thread in threads {
                let semaphore = DispatchSemaphore(value: 0)
                holding.append(semaphore)
                thread { semaphore.wait() }
            }
        }
    }

    func move() {
        holding.withLock { holding in
            for semaphore in holding { semaphore.signal() }
            holding = []
        }
    }
}
