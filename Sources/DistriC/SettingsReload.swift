import API
import Coordinator
import Logging
import Observability
import Primitives
import ServiceLifecycle
import Synchronization
import UnixSignals
import Workflows

extension Node {
    /// How this node schedules while it leads.
    static func scheduling(_ settings: Settings) throws(DistriCError) -> SchedulingSettings {
        var own = SchedulingSettings()
        do throws(PlacementError) { own.strategy = try PlacementPolicy(named: settings.text("placement.strategy")) } catch {
            throw DistriCError(.badConfiguration, "placement.strategy: \(error)")
        }
        own.ageing = settings.duration("placement.ageing")
        guard SchedulingSettings.ageingRange.contains(own.ageing) else {
            throw DistriCError(.badConfiguration, "placement.ageing = \(own.ageing.text): from 1ms to 1d")
        }
        for (name, text) in settings.table("placement.weights").sorted(by: { $0.key < $1.key }) {
            guard let weight = Int(text), SchedulingSettings.weightRange.contains(weight) else {
                throw DistriCError(
                    .badConfiguration, "placement.weights: \(name) = \"\(text)\": expected a whole number from 1 to 1000, in quotes")
            }
            do throws(IdentifierError) { own.weights[try Namespace(name)] = weight } catch {
                throw DistriCError(.badConfiguration, "placement.weights: \(error)")
            }
        }
        return own
    }
}

/// Reads the settings again whenever SIGHUP comes, and takes over those that can change while the node runs.
struct SettingsReload: Service {
    /// What all of them begin with.
    static let section = "placement."

    private let current: Current
    private let info: NodeInfo
    private let logger: Logger

    private final class Current: Sendable {
        let settings: Mutex<Settings>
        init(_ settings: Settings) { self.settings = Mutex(settings) }
    }

    init(settings: Settings, info: NodeInfo) {
        current = Current(settings)
        self.info = info
        logger = info.telemetry.logger("node")
    }

    @concurrent
    func run() async throws {
        await cancelWhenGracefulShutdown { for await _ in await UnixSignalsSequence(trapping: .sighup) { reload() } }
    }

    func reload() {
        let old = current.settings.withLock { $0 }
        let telemetry = info.telemetry
        let (new, scheduling): (Settings, SchedulingSettings)
        do throws(DistriCError) {
            new = try old.again()
            scheduling = try Node.scheduling(new)
        } catch {
            logger.error("settings not read again", metadata: ["error": "\(error)"])
            telemetry.events.emit(
                "settings.refused", subject: telemetry.node.text, severity: .error, "settings stay as they were: \(error)")
            return
        }
        let changed = Settings.all.map(\.key).filter { old.entries[$0]?.value != new.entries[$0]?.value }
        let (taken, waiting) = (changed.filter { $0.hasPrefix(Self.section) }, changed.filter { !$0.hasPrefix(Self.section) })
        let merged = old.taking(taken, from: new)
        current.settings.withLock { $0 = merged }
        if !waiting.isEmpty {
            logger.warning("settings that count from the next start", metadata: ["keys": "\(waiting.joined(separator: ","))"])
        }
        guard !taken.isEmpty else { return }
        info.coordinator.loop.schedule(scheduling)
        info.settings.show(.list(merged.listing))
        logger.info("settings read again", metadata: ["keys": "\(taken.joined(separator: ","))"])
        telemetry.events.emit(
            "settings.changed", subject: telemetry.node.text, "settings were read again: \(taken.joined(separator: ", "))")
    }
}
