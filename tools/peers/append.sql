\set chain random(0, 15)
INSERT INTO audit (chain, layer, event, agent, mission, data) VALUES (:chain, 'EXECUTION', 'EXECUTION_tool_call', 'aid_01m87xmbr5fccbwh03yw44at68', 'bench', '{"tool":"read_invoice","result":"success","n":1}');
