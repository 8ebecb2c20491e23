package seccomp

// AddArch adds an architecture.
func (f *ScmpFilter) AddArch(arch ScmpArch) error {
	if err := f.get().AddArch(arch); err != nil {
		return err
	}
	return f.note("arch %d", uint(arch))
}

// SetOptimize sets how much is done for the filter's speed.
func (f *ScmpFilter) SetOptimize(level int) error {
	if err := f.get().SetOptimize(level); err != nil {
		return err
	}
	return f.note("optimize %d", level)
}

// SetNoNewPrivsBit sets a flag of loading.
func (f *ScmpFilter) SetNoNewPrivsBit(state bool) error { return f.get().SetNoNewPrivsBit(state) }

// GetNoNewPrivsBit returns it.
func (f *ScmpFilter) GetNoNewPrivsBit() (bool, error) { return f.get().GetNoNewPrivsBit() }

// SetLogBit sets a flag of loading.
func (f *ScmpFilter) SetLogBit(state bool) error { return f.get().SetLogBit(state) }

// GetLogBit returns it.
func (f *ScmpFilter) GetLogBit() (bool, error) { return f.get().GetLogBit() }

// SetSSB sets a flag of loading.
func (f *ScmpFilter) SetSSB(state bool) error { return f.get().SetSSB(state) }

// GetSSB returns it.
func (f *ScmpFilter) GetSSB() (bool, error) { return f.get().GetSSB() }

// SetWaitKill sets a flag of loading.
func (f *ScmpFilter) SetWaitKill(state bool) error { return f.get().SetWaitKill(state) }

// GetWaitKill returns it.
func (f *ScmpFilter) GetWaitKill() (bool, error) { return f.get().GetWaitKill() }
