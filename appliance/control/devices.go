package control

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"letterbox/appliance/accounts"
	"letterbox/appliance/config"
)

// deviceBody is the body of POST /api/v1/people/{person}/devices.
type deviceBody struct {
	Name string `json:"name"`
}

func (s *server) devices(r *http.Request) (any, error) {
	c, _ := s.appliance.Config()
	i, ok := c.Person(r.PathValue("person"))
	if !ok {
		return nil, nobody(r.PathValue("person"))
	}
	list := make([]Device, 0, len(c.People[i].Devices))
	for _, d := range c.People[i].Devices {
		list = append(list, Device{Name: d.Name, Created: d.Created})
	}
	return list, nil
}

func (s *server) addDevice(r *http.Request) (any, error) {
	asked, err := read[deviceBody](r)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSpace(asked.Name)
	if name == "" {
		return nil, &Error{Status: http.StatusUnprocessableEntity, Reason: "the device needs a name", Field: "name"}
	}
	var made NewDevice
	err = s.updatePerson(r, func(p *config.Person, c *config.Config) error {
		if deviceIndex(*p, name) >= 0 {
			return &Error{Status: http.StatusConflict, Reason: fmt.Sprintf("%s has a device called %q already", p.Name, name), Field: "name"}
		}
		if c.DeviceKey == "" { // the household's first device
			key, err := config.NewDeviceKey()
			if err != nil {
				return err
			}
			c.DeviceKey = key
		}
		device, password, err := accounts.NewDevice(c.DeviceKey, name, time.Now())
		if err != nil {
			return err
		}
		p.Devices = append(p.Devices, device)
		made = NewDevice{Device: Device{Name: device.Name, Created: device.Created}, Password: password}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

func (s *server) revokeDevice(r *http.Request) (any, error) {
	name := strings.TrimSpace(r.URL.Query().Get("name"))
	return nil, s.updatePerson(r, func(p *config.Person, _ *config.Config) error {
		i := deviceIndex(*p, name)
		if i < 0 {
			return &Error{Status: http.StatusNotFound, Reason: fmt.Sprintf("%s has no device called %q", p.Name, name)}
		}
		p.Devices = slices.Delete(p.Devices, i, i+1)
		return nil
	})
}

func deviceIndex(p config.Person, name string) int {
	return slices.IndexFunc(p.Devices, func(d config.Device) bool { return strings.EqualFold(d.Name, name) })
}
