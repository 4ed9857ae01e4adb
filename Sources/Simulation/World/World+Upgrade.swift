import NIOCore
import Primitives
import Raft
import Storage
import Wire

// Fault O3: programs of two feature levels in one cluster. The newer one writes a field that the older does not know, and has a command that nobody proposes before the
// level is raised in the log (Decisions/FeatureLevels).
extension World {
    static let newest: UInt16 = 2

    /// A server is started with another program: mostly the newer one.
    func changeProgram(_ server: SimulatedServer) {
        raiseLevel()
        guard server.isUp, !server.isPaused else { return }
        crash(server, .kill)
        if server.level < Self.newest {
            server.level = Self.newest
            coverage.saw(.upgraded)
        } else if Int.random(in: 0..<4, using: &generator) == 0 {
            server.level = 1
        }
        schedule(.restart(server.number, boot: server.boot), after: exponential(200_000_000))
    }

    /// Once all programs know it, an operator raises the level for good.
    private func raiseLevel() {
        guard servers.allSatisfy({ $0.level == Self.newest }), let leader = leading, leader.machine.featureLevel < Self.newest else {
            return
        }
        attempts += 1
        let command = KeyValueMachine.Command(session: 0, sequence: 0, kind: .raise, key: 0, value: UInt64(Self.newest))
        handle(.propose(id: attempts, [command.payload]), at: leader)
    }

    /// An older program stops before what it does not know, and says which one is needed: whoever reads that starts the newer one.
    func stopAtLevel(_ server: SimulatedServer) {
        coverage.saw(.stoppedAtLevel)
        crash(server, .kill)
        server.level = Self.newest
        schedule(.restart(server.number, boot: server.boot), after: exponential(200_000_000))
    }

    /// The level is on disk before anything of it is.
    func noteLevel(_ server: SimulatedServer) {
        coverage.saw(.levelRaised)
        do throws(StorageError) { try write(level: server.machine.featureLevel, server) } catch { diskFailed(server) }
    }

    /// A field that came with the newer program: the older one must read over it.
    func withLaterField(_ frame: ByteBuffer) -> ByteBuffer {
        var decoder = FrameDecoder()
        decoder.append(frame)
        guard let whole = try? decoder.next() else { return frame }
        var (payload, field, result) = (whole.payload, TLVWriter(), ByteBufferAllocator().buffer(capacity: 256))
        field.u64(63, 7)
        payload.writeBytes(field.bytes)
        FrameEncoder.frame(whole.header, payload: payload, into: &result)
        return result
    }
}
