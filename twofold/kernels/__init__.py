"""From graphs to kernel specifications: fusion, loop nests, schedules, the memory plan."""
