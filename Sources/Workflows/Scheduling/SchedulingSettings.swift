package import Primitives

/// How the leader schedules, as its settings say.
package struct SchedulingSettings: Equatable, Sendable {
    package var strategy = PlacementPolicy.leastLoaded
    /// Waiting so long counts as much as one priority.
    package var ageing = ReadyQueue.usualAgeing
    /// Shares of namespaces, 1 to 1000; those that are not named have 1.
    package var weights: [Namespace: Int] = [:]

    package static let ageingRange = Duration.milliseconds(1)...Duration.seconds(86_400)
    package static let weightRange = FairShare.weights

    package init() {}

    /// One that holds nothing and knows nobody.
    package func scheduler(seed: UInt64) -> Scheduler {
        var scheduler = Scheduler(placement: Placement(strategy: strategy.strategy, seed: seed), ready: ReadyQueue(ageing: ageing))
        for (namespace, weight) in weights { scheduler.weigh(namespace, weight) }
        return scheduler
    }
}
