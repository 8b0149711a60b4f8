package imapd

import "letterbox/appliance/imapwire"

// id is ID (RFC 2971). What the client says of itself is logged at the debug
// level, for the person who wonders which program it is.
func (c *conn) id(r *request) error {
	a, err := imapwire.ParseID(r.args)
	if err != nil {
		return err
	}
	for _, p := range a.Params {
		c.log.Debug("client", "person", c.person, "field", p.Name, "value", p.Value)
	}
	c.out.begin()
	b := append(c.out.buf, `* ID ("name" "Letterbox"`...)
	if v := c.server.o.Version; v != "" {
		b = append(b, ` "version" `...)
		b = imapwire.AppendString(b, v, false)
	}
	c.out.buf = append(b, ')')
	c.out.line()
	return nil
}
