package ps

import "slices"

// List lists processes of proc, a mounted /proc, in the columns that args ask for. It shows the numbers that number gives
// for those of proc.
func List(proc string, pids []int, args []string, number func(int) int) (titles []string, rows [][]string, err error) {
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	cols, err := parse(args)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range cols {
		titles = append(titles, c.title)
	}
	m := thisMachine()
	m.number = number
	slices.Sort(pids)
	for _, pid := range pids {
		p, err := read(proc, pid, m)
		if err != nil {
			continue // It has gone.
		}
		row := make([]string, 0, len(cols))
		for _, c := range cols {
			row = append(row, c.value(p, m))
		}
		rows = append(rows, row)
	}
	return titles, rows, nil
}
