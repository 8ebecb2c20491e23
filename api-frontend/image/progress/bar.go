package progress

import (
	"fmt"
	"strings"

	"github.com/docker/go-units"
)

// bar is the picture that clients without one of their own show: Docker's, for a terminal of 200 columns.
func bar(current, total int64) string {
	if total <= 0 {
		return fmt.Sprintf("%8v", units.HumanSize(float64(current)))
	}
	filled := int(min(current, total) * 50 / total)
	numbers := fmt.Sprintf("%8v/%v", units.HumanSize(float64(current)), units.HumanSize(float64(total)))
	if current > total {
		numbers = fmt.Sprintf("%8v", units.HumanSize(float64(current)))
	}
	return "[" + strings.Repeat("=", filled) + ">" + strings.Repeat(" ", 50-filled) + "] " + numbers
}
