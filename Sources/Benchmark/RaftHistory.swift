import Foundation
import Glibc
import Primitives
import Synchronization
import Text
import Wire

/// What clients of a cluster asked and were told, one JSON object a line, for any checker of linearizability: `distric simulate check-history`
/// is one.
///
/// A message's id is a register that is written once, with the message's number; whoever finds the message reads that. What may have been
/// done, for all that its client knows, is `info`, and its process does no more: the client goes on as another one, as checkers want it.
final class RaftHistory: Sendable {
    enum Kind: String { case invoke, ok, fail, info }
    enum Function: String { case read, write }

    /// A message, as a register.
    struct Register: Sendable {
        let key: String
        let value: Int
    }

    struct Failed: Error, CustomStringConvertible { let description: String }

    private struct State {
        var buffer: [UInt8] = []
        var failure: Int32?
        var processes = 0
        var recent: [Register] = []
        var written = 0
    }

    private static let bufferBytes = 1 << 16
    /// Of the messages that were sent last, one is read.
    private static let recentLimit = 256

    private let path: String
    private let descriptor: Int32
    private let began = RaftHistory.now
    private let state = Mutex(State())

    init(_ path: String) throws(Failed) {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Failed(description: "\(path) cannot be written: \(String(cString: strerror(errno)))") }
    }

    private static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    func newProcess() -> Int {
        state.withLock { state in
            state.processes += 1
            return state.processes - 1
        }
    }

    /// A line; the time is taken where nobody can come between, so that it never falls.
    func note(_ process: Int, _ kind: Kind, _ function: Function, _ key: String, _ value: Int?) {
        state.withLock { state in
            let line: Value = [
                "process": Value(process), "type": .string(kind.rawValue), "f": .string(function.rawValue), "key": .string(key),
                "value": value.map { Value($0) } ?? .null, "time": .int(Self.now - began),
            ]
            state.buffer += JSONWriter.bytes(line)
            state.buffer.append(UInt8(ascii: "\n"))
            // Who writes faster than the disk waits for it.
            if state.buffer.count >= Self.bufferBytes { flush(&state) }
        }
    }

    private func flush(_ state: inout State) {
        var rest = state.buffer[...]
        while !rest.isEmpty, state.failure == nil {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 { rest = rest.dropFirst(count) } else if errno != EINTR { state.failure = errno }
        }
        state.buffer.removeAll(keepingCapacity: true)
    }

    /// All of it is written, or it throws.
    func close() throws(Failed) {
        let failure = state.withLock { state in
            flush(&state)
            return state.failure
        }
        Glibc.close(descriptor)
        if let failure { throw Failed(description: "\(path) could not be written: \(String(cString: strerror(failure)))") }
    }

    // MARK: Operations

    func invokesWrite(_ process: Int, _ register: Register) {
        state.withLock { state in
            if state.recent.count < Self.recentLimit {
                state.recent.append(register)
            } else {
                state.recent[state.written % Self.recentLimit] = register
            }
            state.written += 1
        }
        note(process, .invoke, .write, register.key, register.value)
    }

    func wrote(_ process: Int, _ register: Register) { note(process, .ok, .write, register.key, register.value) }

    /// - Returns: who the client is from now on.
    func failed(_ process: Int, _ register: Register, _ error: CallError) -> Int {
        let isCertain = !error.isUncertain && [.notLeader, .busy, .unavailable, .tooManyConnections, .draining].contains(error.code)
        note(process, isCertain ? .fail : .info, .write, register.key, register.value)
        return isCertain ? process : newProcess()
    }

    /// One of those that were sent lately; nil before the first.
    var recent: Register? { state.withLock { $0.recent.randomElement() } }
}

/// Reads messages that were sent lately, of any node, each with everything that was acknowledged before.
struct HistoryReader {
    let client: ProposalClient
    let history: RaftHistory
    private static let rest = Duration.milliseconds(2)

    func run(while goesOn: @Sendable () -> Bool) async throws {
        let process = history.newProcess()
        while goesOn() {
            if let register = history.recent { await read(register, process) }
            try await Task.sleep(for: Self.rest)
        }
    }

    private func read(_ register: RaftHistory.Register, _ process: Int) async {
        history.note(process, .invoke, .read, register.key, nil)
        do throws(CallError) {
            history.note(process, .ok, .read, register.key, try await client.find(register.key))
        } catch {
            // A read that failed has changed nothing.
            history.note(process, .fail, .read, register.key, nil)
        }
    }
}
