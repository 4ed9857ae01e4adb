extension Examples {
    /// What a demo has besides: something that fails at times, so that there is a failure to look into.
    package static var demoFiles: [File] {
        [File(path: "rules/drift.yaml", text: driftRules), File(path: "workflows/drift-check.yaml", text: driftCheck)]
    }

    static let driftRules = """
        # Hot fans: their readings should only rise.
        apiVersion: distric/v1
        kind: RuleSet
        metadata: {name: drift}
        match: all
        rules:
          - id: hot-fan
            when:
              all:
                - {field: type, operator: equals, value: sensor.reading}
                - {field: data.device, operator: prefix, value: "fan-"}
                - {field: data.celsius, operator: greater, value: 75}
            actions:
              - workflow: drift-check
                params: {device: "${{ data.device }}", readings: "${{ data.readings }}"}
        tests:
          - name: a hot fan is checked
            message: {type: sensor.reading, data: {device: fan-3, celsius: 80}}
            expect: {matched: [hot-fan]}

        """

    static let driftCheck = """
        # `sort -c` ends with 1 when its input is not in order: most readings are not, and the run fails after its second attempt.
        apiVersion: distric/v1
        kind: Workflow
        metadata: {name: drift-check, version: 1.0.0}
        tasks:
          count:
            use: exec@1
            with: {command: [wc, -l], stdin: "${{ params.readings }}"}
            idempotent: true
            # Orders and payments go first; what waits for longer than 30 s goes before them all the same.
            priority: 2
          ordered:
            depends_on: [count]
            use: exec@1
            priority: 2
            # Rather where the first was, and on a worker that says 'tools = "fast"' in worker.labels.
            sticky: run
            prefer: [{labels: {tools: fast}}]
            with: {command: [sort, -c, -n], stdin: "${{ params.readings }}"}
            idempotent: true
            retry: {limit: {attempt: {count: 2}}, delay: 200ms, jitter: none}
          close:
            depends_on: [ordered]
            use: transform@1
            with: {value: {device: "${{ params.device }}", drifts: false}}

        """
}
