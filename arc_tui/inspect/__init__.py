"""Browses checkpoints, datasets, tasks and results: headers by struct, values by numpy, never by torch.

| modules | what they do |
|---|---|
| dtypes, header_scan, header | element types; a file's header as columns, checked |
| source, hugging_face | what a PATH stands for: file, checkpoint, run, Hugging Face folder, pattern |
| pieces, blocks | values read in pieces, by threads or side by side |
| statistics, narrow, wide, binning | counts, moments, quantiles and histograms, exact in bounded memory |
| tree, search | the modules that the names spell, and finding among them |
| training, moments, timeline | what our own checkpoints know of training |
| compare, verify, extract | two checkpoints, manifests, parts copied out |
| tasks, size_rules | datasets and tasks |
| facts, text, show, task_rows, grid_text | all of it as JSON, lines and rows |
| command, task_command, opening | `arc-tui inspect` |
| app, tool_app | the browser: `InspectApp`, and what it has in common with other apps |
| inspect_keys, inspect_screen, help_screen, prompt, jobs, lazy_list | what its screens have in common |
| browsed, browser, browser_rows, detail_rows | tree and table |
| tensor_screen, tensor_rows, heat_map, heat | one tensor |
| training_screen, training_rows | the training state |
| compare_screen, timeline_screen, drift_chart | two checkpoints; a run's checkpoints |
| results, results_pair, results_choice | what an evaluation has solved; two of them; filters and orders |
| results_facts, results_text, results_groups, results_rows | these as JSON, lines, grids and rows |
| results_command, results_app, results_keys | `arc-tui inspect results` and its browser |
| evals_screen, tasks_screen, results_screen, results_pair_screen, result_task_screen | its screens |
"""
