package ovn

import (
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"

	"github.com/arca-engine/arca/helpervm/daemon"
)

// The tables of OVN_Northbound, with the columns that we write or watch.

type nbGlobal struct {
	UUID        string            `ovsdb:"_uuid"`
	NbCfg       int               `ovsdb:"nb_cfg"`
	SbCfg       int               `ovsdb:"sb_cfg"`
	HvCfg       int               `ovsdb:"hv_cfg"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

type logicalSwitch struct {
	UUID  string   `ovsdb:"_uuid"`
	Name  string   `ovsdb:"name"`
	Ports []string `ovsdb:"ports"`
	ACLs  []string `ovsdb:"acls"`
}

type logicalSwitchPort struct {
	UUID         string   `ovsdb:"_uuid"`
	Name         string   `ovsdb:"name"`
	Addresses    []string `ovsdb:"addresses"`
	PortSecurity []string `ovsdb:"port_security"`
	ParentName   *string  `ovsdb:"parent_name"`
	TagRequest   *int     `ovsdb:"tag_request"`
}

type acl struct {
	UUID      string `ovsdb:"_uuid"`
	Priority  int    `ovsdb:"priority"`
	Direction string `ovsdb:"direction"`
	Match     string `ovsdb:"match"`
	Action    string `ovsdb:"action"`
}

func northboundModel() (model.ClientDBModel, error) {
	return model.NewClientDBModel(daemon.NorthboundDB, map[string]model.Model{
		"NB_Global": &nbGlobal{}, "Logical_Switch": &logicalSwitch{}, "Logical_Switch_Port": &logicalSwitchPort{}, "ACL": &acl{},
	})
}

// northboundMonitor names its columns: a monitor of all of them loses whole updates that name one which the model lacks.
func northboundMonitor() []client.MonitorOption {
	g := &nbGlobal{}
	return []client.MonitorOption{client.WithTable(g, &g.NbCfg, &g.SbCfg, &g.HvCfg, &g.ExternalIDs)}
}

// The tables of Open_vSwitch.

type openVSwitch struct {
	UUID        string            `ovsdb:"_uuid"`
	Bridges     []string          `ovsdb:"bridges"`
	NextCfg     int               `ovsdb:"next_cfg"`
	CurCfg      int               `ovsdb:"cur_cfg"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	OtherConfig map[string]string `ovsdb:"other_config"`
}

type bridge struct {
	UUID         string            `ovsdb:"_uuid"`
	Name         string            `ovsdb:"name"`
	DatapathType string            `ovsdb:"datapath_type"`
	FailMode     *string           `ovsdb:"fail_mode"`
	OtherConfig  map[string]string `ovsdb:"other_config"`
	Ports        []string          `ovsdb:"ports"`
}

type port struct {
	UUID       string   `ovsdb:"_uuid"`
	Name       string   `ovsdb:"name"`
	Interfaces []string `ovsdb:"interfaces"`
}

type netInterface struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Type        string            `ovsdb:"type"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	Ofport      *int              `ovsdb:"ofport"`
	Error       *string           `ovsdb:"error"`
}

func vswitchModel() (model.ClientDBModel, error) {
	return model.NewClientDBModel(daemon.VSwitchDB, map[string]model.Model{
		"Open_vSwitch": &openVSwitch{}, "Bridge": &bridge{}, "Port": &port{}, "Interface": &netInterface{},
	})
}

func vswitchMonitor() []client.MonitorOption {
	o, b, p, i := &openVSwitch{}, &bridge{}, &port{}, &netInterface{}
	return []client.MonitorOption{
		client.WithTable(o, &o.Bridges, &o.NextCfg, &o.CurCfg, &o.ExternalIDs),
		client.WithTable(b, &b.Name, &b.Ports),
		client.WithTable(p, &p.Name, &p.Interfaces),
		client.WithTable(i, &i.Name, &i.Ofport, &i.Error),
	}
}
